package web

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	// tag finds the comments and the tags that open an element.
	tag = regexp.MustCompile(`(?s)<!--.*?-->|<[a-zA-Z](?:[^"'>]|"[^"]*"|'[^']*')*>`)
	// attribute finds name and value; the value is in one of the last three groups.
	attribute = regexp.MustCompile(`(?s)(\s)([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>` + "`" + `]+)))?`)
	scheme    = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
)

// addPage adds the page ui/file as to, with its references to files of ui/ turned to the names that the files have in the
// site: those in names, and those of other files, which are added. It must refer to what it needs.
func (s *Site) addPage(ui, file, to string, names map[string]string, needs ...string) error {
	text, err := os.ReadFile(filepath.Join(ui, filepath.FromSlash(file)))
	if err != nil {
		return err
	}
	p := page{site: s, ui: ui, dir: path.Dir(file), names: names, source: string(text)}
	html := tag.ReplaceAllStringFunc(p.source, p.tag)
	if p.err != nil {
		return fmt.Errorf("ui/%s: %w", file, p.err)
	}
	for _, need := range needs {
		if !p.used[need] {
			return fmt.Errorf("ui/%s: no reference to ./%s", file, path.Base(need))
		}
	}
	return s.add(to, []byte(html))
}

type page struct {
	site   *Site
	ui     string
	dir    string // of the page, within ui
	names  map[string]string
	source string
	used   map[string]bool
	err    error
}

// tag rewrites a tag. It refuses what the policy of the page keeps browsers from doing.
func (p *page) tag(t string) string {
	if strings.HasPrefix(t, "<!--") {
		return ""
	}
	element := strings.ToLower(strings.TrimLeft(regexpName.FindString(t), "<"))
	seen := map[string]string{}
	out := attribute.ReplaceAllStringFunc(t, func(a string) string {
		g := attribute.FindStringSubmatch(a)
		name, value := strings.ToLower(g[2]), g[3]+g[4]+g[5]
		seen[name] = value
		switch {
		case name == "style" || strings.HasPrefix(name, "on"):
			p.fail("<%s %s=...>: the page's policy forbids inline styles and scripts", element, name)
		case name == "src" || name == "href":
			to := p.reference(element, value)
			if to != value {
				return fmt.Sprintf(`%s%s="%s"`, g[1], g[2], to)
			}
		}
		return a
	})
	_, src := seen["src"]
	if element == "style" || element == "script" && !src && seen["type"] != "application/json" {
		p.fail("<%s>: the page's policy forbids inline styles and scripts", element)
	}
	return out
}

var regexpName = regexp.MustCompile(`^<[^\s/>]+`)

// reference is what becomes of a src or href.
func (p *page) reference(element, to string) string {
	switch {
	case to == "" || to[0] == '#' || to[0] == '?' || strings.HasPrefix(to, "data:"):
		return to
	case scheme.MatchString(to) || strings.HasPrefix(to, "//"):
		if element != "a" {
			p.fail("<%s> refers to %s: the page loads from its own server only", element, to)
		}
		return to
	case to[0] == '/':
		p.fail("<%s> refers to %s: write it relative, since the page may lie in a sub-path", element, to)
		return to
	}
	file := path.Join(p.dir, to)
	if !filepath.IsLocal(filepath.FromSlash(file)) {
		p.fail("<%s> refers to %s, outside ui", element, to)
		return to
	}
	if p.used == nil {
		p.used = map[string]bool{}
	}
	p.used[file] = true
	if p.names[file] == "" {
		data, err := os.ReadFile(filepath.Join(p.ui, filepath.FromSlash(file)))
		if err != nil {
			p.fail("<%s> refers to %s: %w", element, to, err)
			return to
		}
		name, err := p.site.addHashed(file, data)
		if err != nil {
			p.fail("<%s> refers to %w", element, err)
			return to
		}
		p.names[file] = name
	}
	return "./" + p.names[file]
}

// fail keeps the first error.
func (p *page) fail(format string, a ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, a...)
	}
}

var head = regexp.MustCompile(`(?i)<head(\s[^>]*)?>(\s*<meta\s+charset=[^>]*>)?`)

// withPolicy writes the policy into the page of that name, after the charset, for servers that send no header.
func withPolicy(name string, html []byte, policy string) ([]byte, error) {
	meta := `<meta http-equiv="Content-Security-Policy" content="` + policy + `">`
	if strings.Contains(string(html), meta) {
		return html, nil
	}
	at := head.FindIndex(html)
	if at == nil {
		return nil, fmt.Errorf("%s: no <head> to write the policy into", name)
	}
	return []byte(string(html[:at[1]]) + "\n" + meta + string(html[at[1]:])), nil
}
