package push

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A group's file is, in this order: the line fileMagic; one line of JSON, a fileHeader; the families as length-delimited
// io.prometheus.client.MetricFamily; and four bytes, big endian, the CRC-32C of all before. Its name is the SHA-256 of
// the group's key, so that any labels fit into a file name. It is written beside its place, synced and renamed.
const (
	fileMagic  = "tocsin pushed group 1\n"
	fileSuffix = ".group"
	tempSuffix = ".tmp"
)

type fileHeader struct {
	Labels      map[string]string `json:"labels"`
	LastPush    int64             `json:"last_push,omitempty"`    // Unix nanoseconds, 0: never
	LastFailure int64             `json:"last_failure,omitempty"` // Unix nanoseconds, 0: never
	Failure     string            `json:"failure,omitempty"`
	TTL         int64             `json:"ttl,omitempty"` // nanoseconds
}

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// marshalGroup returns p's file.
func marshalGroup(p *pushedGroup) ([]byte, error) {
	header, err := json.Marshal(fileHeader{
		Labels: p.labels, LastPush: nanos(p.lastPush), LastFailure: nanos(p.lastFailure), Failure: p.failure, TTL: int64(p.ttl),
	})
	if err != nil {
		return nil, err
	}
	b := append([]byte(fileMagic), header...)
	b = append(b, '\n')
	for _, f := range p.families {
		b = append(b, f.blob...)
	}
	return binary.BigEndian.AppendUint32(b, castagnoli(b)), nil
}

// unmarshalGroup is the reverse of marshalGroup.
func unmarshalGroup(b []byte) (*pushedGroup, error) {
	rest, ok := bytes.CutPrefix(b, []byte(fileMagic))
	if !ok {
		return nil, errors.New("not a pushed group's file, or of an unknown version")
	}
	if len(rest) < 4 || castagnoli(b[:len(b)-4]) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return nil, errors.New("the checksum does not match")
	}
	line, blobs, ok := bytes.Cut(rest[:len(rest)-4], []byte{'\n'})
	if !ok {
		return nil, errors.New("the header does not end")
	}
	var header fileHeader
	if err := json.Unmarshal(line, &header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if header.Labels["job"] == "" {
		return nil, errors.New("header: the group has no job")
	}
	for name, value := range header.Labels {
		// The path's own rules, with a value that needs no encoding there.
		if _, _, err := parsePair(name, "x"+value); err != nil {
			return nil, fmt.Errorf("header: %w", err)
		}
	}
	p := &pushedGroup{
		key: keyOf(header.Labels), labels: header.Labels, families: map[string]*family{},
		lastPush: fromNanos(header.LastPush), lastFailure: fromNanos(header.LastFailure), failure: header.Failure, ttl: time.Duration(header.TTL),
	}
	mfs, err := readDelimited(blobs)
	if err != nil {
		return nil, fmt.Errorf("families: %w", err)
	}
	for _, mf := range mfs {
		if len(mf.GetMetric()) == 0 {
			continue
		}
		f, err := build(mf)
		if err != nil {
			return nil, err
		}
		p.families[f.name] = f
	}
	return p, nil
}

// store keeps groups in a directory. The zero store keeps nothing.
type store struct{ dir string }

func fileName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:]) + fileSuffix
}

// put makes p durable: when it returns nil, p survives a crash of the machine.
func (s store) put(p *pushedGroup) error {
	if s.dir == "" {
		return nil
	}
	b, err := marshalGroup(p)
	if err != nil {
		return fmt.Errorf("encoding the pushed group: %w", err)
	}
	path := filepath.Join(s.dir, fileName(p.key))
	if err := writeSynced(path+tempSuffix, b); err != nil {
		return errors.Join(fmt.Errorf("keeping the pushed group: %w", err), remove(path+tempSuffix))
	}
	if err := os.Rename(path+tempSuffix, path); err != nil {
		return fmt.Errorf("keeping the pushed group: %w", err)
	}
	return s.sync()
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// remove is os.Remove that does not mind when there is nothing to remove.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// drop durably forgets the group of a key; there may be none.
func (s store) drop(key string) error {
	if s.dir == "" {
		return nil
	}
	if err := remove(filepath.Join(s.dir, fileName(key))); err != nil {
		return fmt.Errorf("forgetting the pushed group: %w", err)
	}
	return s.sync()
}

// sync makes names in the directory durable.
func (s store) sync() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// load reads all groups. A file that cannot be read is moved aside and reported to bad, and harms no other. An error
// means that the directory itself is of no use.
func (s store) load(bad func(path string, err error)) ([]*pushedGroup, error) {
	if s.dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of pushed groups: %w", err)
	}
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("directory of pushed groups: %w", err)
	}
	var groups []*pushedGroup
	for _, f := range files {
		path := filepath.Join(s.dir, f.Name())
		switch {
		case strings.HasSuffix(f.Name(), fileSuffix+tempSuffix): // a push that was never answered
			if err := remove(path); err != nil {
				return nil, fmt.Errorf("directory of pushed groups: %w", err)
			}
		case strings.HasSuffix(f.Name(), fileSuffix):
			p, err := readGroup(path)
			if err != nil {
				bad(path, errors.Join(err, os.Rename(path, path+".corrupt")))
				continue
			}
			groups = append(groups, p)
		}
	}
	return groups, nil
}

func readGroup(path string) (*pushedGroup, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, err := unmarshalGroup(b)
	if err != nil {
		return nil, err
	}
	if fileName(p.key) != filepath.Base(path) {
		return nil, errors.New("the file's name is not that of the group in it")
	}
	return p.seal(), nil
}
