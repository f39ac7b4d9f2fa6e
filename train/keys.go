package train

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"innerloop/internal/words"
)

// field finds the value that a dotted key names.
func field(v reflect.Value, key string) (reflect.Value, error) {
	root, whole := v.Type(), key
	for {
		name, rest, more := strings.Cut(key, ".")
		i := slices.Index(keys(v.Type()), name)
		if i < 0 {
			return v, unknownKey(root, whole)
		}
		v = v.FieldByName(fieldNames(v.Type())[i])
		switch isTable := v.Kind() == reflect.Struct; {
		case !isTable && !more:
			return v, nil
		case !isTable:
			return v, unknownKey(root, whole)
		case !more:
			return v, fmt.Errorf("%s is a table: want one of its keys, as in %s.%s", name, name, keys(v.Type())[0])
		}
		key = rest
	}
}

// keys lists the keys of a table, in the order of the configuration file.
func keys(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("toml"); name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// fieldNames lists Go's names of the same.
func fieldNames(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("toml") != "-" {
			names = append(names, t.Field(i).Name)
		}
	}
	return names
}

// tables are the keys of t that are tables themselves, with their types.
func tables(t reflect.Type) (names []string, types []reflect.Type) {
	for i := range t.NumField() {
		if f := t.Field(i); f.Type.Kind() == reflect.Struct {
			names, types = append(names, f.Tag.Get("toml")), append(types, f.Type)
		}
	}
	return names, types
}

// unknownKey is the error of a dotted key that a configuration of type root has not got. It names the keys that were
// most likely meant, or where none is near, those that there are.
func unknownKey(root reflect.Type, key string) error {
	said := plain(key)
	if near := meant(root, key); len(near) > 0 {
		return fmt.Errorf("unknown key %s: did you mean %s?", said, strings.Join(near, " or "))
	}
	names, types := tables(root)
	table, _, _ := strings.Cut(key, ".")
	if i := slices.Index(names, table); i >= 0 && table != key {
		return fmt.Errorf("unknown key %s: want one of %s", said, strings.Join(keys(types[i]), ", "))
	}
	return fmt.Errorf("unknown key %s: want one of %s, with the key as in %s.%s", said, strings.Join(keys(root), ", "), names[0], keys(types[0])[1])
}

// unknownTable is the error of a table that a configuration of type root has not got.
func unknownTable(root reflect.Type, table string) error {
	names, types := tables(root)
	if near := words.Nearest(table, names); near != "" {
		return fmt.Errorf("unknown table [%s]: did you mean [%s]?", plain(table), near)
	}
	if i := slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(table, n+".") }); i >= 0 {
		if name := table[len(names[i])+1:]; slices.Contains(keys(types[i]), name) {
			return fmt.Errorf("%s is no table: want %s = VALUE, below [%s]", plain(table), name, names[i])
		}
	}
	return fmt.Errorf("unknown table [%s]: want one of [%s]", plain(table), strings.Join(names, "], ["))
}

// Meant lists the keys that somebody who wrote key, which is none, may have meant; none where none is near.
func Meant(key string) []string { return meant(reflect.TypeFor[Config](), key) }

// meant are the keys that somebody who wrote key may have meant: the same name in another table, or a name that is
// nearly the same.
func meant(root reflect.Type, key string) (near []string) {
	names, types := tables(root)
	table, name := "", strings.ReplaceAll(strings.ToLower(key), "-", "_")
	if at := strings.LastIndexByte(name, '.'); at >= 0 {
		table, name = name[:at], name[at+1:]
	}
	if at := strings.IndexByte(table, '.'); at >= 0 { // a key is no table
		table, name = table[:at], table[at+1:]
	}
	if slices.Contains(keys(root), table) && !slices.Contains(names, table) {
		return []string{table}
	}
	var all []string // names of all tables
	for i, t := range types {
		if slices.Contains(keys(t), name) {
			near = append(near, names[i]+"."+name)
		}
		all = append(all, keys(t)...)
	}
	if len(near) > 0 {
		return near
	}
	if i := slices.Index(names, words.Nearest(table, names)); i >= 0 {
		if n := words.Nearest(name, keys(types[i])); n != "" {
			return []string{names[i] + "." + n}
		}
	}
	if table == "" {
		if n := words.Nearest(name, keys(root)); n != "" && !slices.Contains(names, n) {
			return []string{n}
		}
	}
	if n := words.Nearest(name, all); n != "" {
		return meant(root, n)
	}
	if name == "learning_rate" {
		return []string{"train.lr"}
	}
	for i, t := range types { // heads of num_attention_heads
		for _, k := range keys(t) {
			if (table == "" || table == names[i]) && len(name) > 2 && strings.Contains("_"+k+"_", "_"+name+"_") {
				near = append(near, names[i]+"."+k)
			}
		}
	}
	return near[:min(3, len(near))]
}

// plain is a key as errors show it: quoted where it is no plain word.
func plain(key string) string {
	if key == "" || len(key) > 60 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"'[]=`, r) }) {
		return fmt.Sprintf("%.60q", key)
	}
	return key
}

// typeName says what values of a type are, to those who write them.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int:
		return "an integer"
	case reflect.Uint64:
		return "a non-negative integer"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return `a list of strings, ["a", "b"]`
	}
	return "a string"
}
