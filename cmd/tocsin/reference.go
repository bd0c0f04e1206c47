package main

import (
	"fmt"

	"github.com/tocsin/tocsin/internal/config"
)

type referenceCmd struct{}

func (c *referenceCmd) Run(s streams) error {
	_, err := fmt.Fprint(s.out, config.Reference())
	return err
}
