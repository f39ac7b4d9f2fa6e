package train

import (
	"fmt"
	"math"
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

// Flat is a configuration as a flat object: dotted keys with numbers, truth values, strings and lists of strings.
func Flat(c Config) map[string]any {
	m := map[string]any{}
	flatten(m, "", reflect.ValueOf(c))
	return m
}

func flatten(m map[string]any, prefix string, v reflect.Value) {
	for i := range v.NumField() {
		key, f := v.Type().Field(i).Tag.Get("toml"), v.Field(i)
		switch {
		case key == "-":
		case f.Kind() == reflect.Struct:
			flatten(m, prefix+key+".", f)
		case f.Kind() == reflect.Slice && f.IsNil():
			m[prefix+key] = []string{}
		default:
			m[prefix+key] = f.Interface()
		}
	}
}

// SetValue changes one value, of a kind that JSON has: a float64, bool, string, or list of strings. An unknown key or
// another kind than the key's is an error.
func (c *Config) SetValue(key string, value any) error {
	f, err := field(reflect.ValueOf(c).Elem(), key)
	if err != nil {
		return err
	}
	ok := false
	switch v := value.(type) {
	case bool:
		if ok = f.Kind() == reflect.Bool; ok {
			f.SetBool(v)
		}
	case string:
		if ok = f.Kind() == reflect.String; ok {
			f.SetString(v)
		}
	case float64:
		whole := v == math.Trunc(v) && math.Abs(v) <= 1<<53
		switch k := f.Kind(); {
		case k == reflect.Float64:
			f.SetFloat(v)
			ok = true
		case k == reflect.Int && whole:
			f.SetInt(int64(v))
			ok = true
		case k == reflect.Uint64 && whole && v >= 0:
			f.SetUint(uint64(v))
			ok = true
		}
	case []any:
		list := make([]string, len(v))
		ok = f.Kind() == reflect.Slice
		for i, x := range v {
			s, is := x.(string)
			list[i], ok = s, ok && is
		}
		if ok {
			f.Set(reflect.ValueOf(list))
		}
	}
	if !ok {
		return fmt.Errorf("train: %s: got %.60s, want %s", key, fmt.Sprint(value), typeName(f.Type()))
	}
	return nil
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
