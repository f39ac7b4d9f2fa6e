package data

import (
	"bytes"
	"fmt"
	"strings"
)

// Documents are the corpus's, as a part's.
func (c *Corpus) Documents(separator string) Documents {
	return Part{c.name, c.text}.Documents(separator)
}

// Len is the number of documents.
func (d Documents) Len() int { return len(d.starts) + 1 }

// CheckSeparator says, in a sentence, that separator occurs nowhere in the corpus, which then is one document, and under
// which other spelling it does, where that is known; empty: it occurs, or is empty.
func (c *Corpus) CheckSeparator(separator string) string {
	n := func(s string) int { return bytes.Count(c.text, []byte(s)) }
	if separator == "" || n(separator) > 0 {
		return ""
	}
	why := ""
	lf := strings.ReplaceAll(separator, "\r\n", "\n")
	plain := strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t").Replace(separator)
	for _, o := range []struct{ text, why string }{
		{strings.ReplaceAll(lf, "\n", "\r\n"), "the text's lines end with \\r\\n"},
		{lf, "the text's lines end with \\n"},
		{plain, "quote it, as --set 'data.document=%q', for \\n to be the end of a line"},
		{strings.ReplaceAll(plain, "\n", "\r\n"), "the text's lines end with \\r\\n; quote it, as --set 'data.document=%q'"},
		{wide(lf, 0, 1), "the text is in UTF-16: convert it to UTF-8"},
		{wide(lf, 1, 0), "the text is in UTF-16: convert it to UTF-8"},
		{wide(strings.ReplaceAll(lf, "\n", "\r\n"), 0, 1), "the text is in UTF-16: convert it to UTF-8"},
		{wide(strings.ReplaceAll(lf, "\n", "\r\n"), 1, 0), "the text is in UTF-16: convert it to UTF-8"},
	} {
		if times := n(o.text); times > 0 && o.text != separator {
			if strings.Contains(o.why, "%q") {
				o.why = fmt.Sprintf(o.why, o.text)
			}
			why = fmt.Sprintf(", but %.60q does, %d times: %s", o.text, times, o.why)
			break
		}
	}
	return fmt.Sprintf("%s: 1 document: the separator %.60q (data.document) does not occur%s", c.name, separator, why)
}

// wide is a text of ASCII in UTF-16, each character with so many zeros before and after it.
func wide(s string, before, after int) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteString(strings.Repeat("\x00", before))
		b.WriteByte(s[i])
		b.WriteString(strings.Repeat("\x00", after))
	}
	return b.String()
}
