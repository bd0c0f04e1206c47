// Package clients finds the HTTP clients of upstream's integrations.
//
// An integration makes its client itself, keeps it in a field of its own, and says of an answer no more than an error. Who
// wants to know more has to listen at the client's transport, and for that has to have the client. This package reads
// those fields through reflection, which takes unsafe: reflection shows a pointer that is not exported, but hands it out
// as an address only. Nothing is written. That an address is taken for a client only where the field's type is exactly
// *http.Client is all that there is to be said for it.
//
// It must not know what the clients are wanted for.
package clients

import (
	"net/http"
	"reflect"
	"slices"
	"unsafe"

	amnotify "github.com/prometheus/alertmanager/notify"
)

// reach is how many pointers are followed from an integration to what holds a client: the notifier, and what that has in
// the client's place (Telegram's bot). Behind those are loggers and templates, which others use at the same time.
const reach = 2

// Of returns the HTTP clients that in sends by. There are none where it does not speak HTTP, makes its client only when it
// needs one, or has it where nobody looks.
func Of(in *amnotify.Integration) []*http.Client {
	return find(reflect.ValueOf(in).Elem(), reach, nil)
}

func find(v reflect.Value, left int, found []*http.Client) []*http.Client {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			found = find(v.Field(i), left, found)
		}
	case reflect.Interface:
		found = find(v.Elem(), left, found)
	case reflect.Pointer:
		switch {
		case v.IsNil():
		case v.Type() == reflect.TypeFor[*http.Client]():
			var at unsafe.Pointer = v.UnsafePointer() // Named, so that this package imports unsafe for all to see.
			if c := (*http.Client)(at); !slices.Contains(found, c) {
				found = append(found, c)
			}
		case left > 0:
			found = find(v.Elem(), left-1, found)
		}
	}
	return found
}
