package train

import (
	"reflect"
	"strings"
)

// decodeTOML reads text into c and notes in set the keys that it has.
func decodeTOML(name string, text []byte, c *Config, set map[string]bool) error {
	return smallRead(name, text, c, set)
}

func encodeTOML(c Config) ([]byte, error) { return smallEncode(c), nil }

func setTOML(f reflect.Value, val string) bool {
	rest, err := smallValue(f, val)
	return err == nil && strings.TrimSpace(rest) == ""
}
