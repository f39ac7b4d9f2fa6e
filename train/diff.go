package train

import (
	"reflect"
	"strconv"
	"strings"
)

// Value is a key of a configuration with its value as --set takes it.
type Value struct{ Key, Value string }

// Values lists all keys of a configuration, in the order of the configuration file.
func Values(c Config) []Value { return values("", reflect.ValueOf(c)) }

func values(prefix string, v reflect.Value) (all []Value) {
	for i := range v.NumField() {
		key, f := v.Type().Field(i).Tag.Get("toml"), v.Field(i)
		switch {
		case key == "-":
		case f.Kind() == reflect.Struct:
			all = append(all, values(prefix+key+".", f)...)
		default:
			all = append(all, Value{prefix + key, literal(f)})
		}
	}
	return all
}

// Difference is a key whose values in two configurations differ.
type Difference struct{ Key, A, B string }

// Diff lists the keys whose values differ, in the order of the configuration file.
func Diff(a, b Config) (ds []Difference) {
	y := Values(b)
	for i, x := range Values(a) {
		if x != y[i] {
			ds = append(ds, Difference{x.Key, x.Value, y[i].Value})
		}
	}
	return ds
}

// literal writes a value as --set takes it.
func literal(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = literal(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10)
	}
	return strconv.FormatInt(v.Int(), 10)
}
