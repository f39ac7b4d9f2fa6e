package train

import (
	"reflect"
	"strings"
)

func decodeTOML(name string, text []byte, c *Config) error { return smallDecode(name, text, c) }
func encodeTOML(c Config) ([]byte, error)                  { return smallEncode(c), nil }

func setTOML(f reflect.Value, val string) bool {
	rest, err := smallValue(f, val)
	return err == nil && strings.TrimSpace(rest) == ""
}
