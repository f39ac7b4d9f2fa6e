package data

import (
	"strings"
	"testing"
)

func TestCheckSeparator(t *testing.T) {
	crlf := strings.Repeat("Document: the river was deep.\r\n===\r\n", 500)
	lf := strings.ReplaceAll(crlf, "\r\n", "\n")
	for _, c := range []struct {
		text, separator string
		documents       int
		want            string
	}{
		{lf, "", 1, ""},
		{lf, "===\n", 500, ""},
		{"\ufeff" + lf + "the last", "===\n", 501, ""},
		{crlf, "===\n", 1, `t: 1 document: the separator "===\n" (data.document) does not occur, but "===\r\n" does, 500 times: the text's lines end with \r\n`},
		{lf, "===\r\n", 1, `does not occur, but "===\n" does, 500 times: the text's lines end with \n`},
		{lf, `===\n`, 1, `t: 1 document: the separator "===\\n" (data.document) does not occur, but "===\n" does, 500 times: quote it, as --set 'data.document="===\n"', for \n to be the end of a line`},
		{crlf, `===\n`, 1, `but "===\r\n" does, 500 times: the text's lines end with \r\n; quote it, as --set 'data.document="===\r\n"'`},
		{wide(lf, 0, 1), "===\n", 1, `but "=\x00=\x00=\x00\n\x00" does, 500 times: the text is in UTF-16: convert it to UTF-8`},
		{wide(crlf, 1, 0), "===\n", 1, `the text is in UTF-16: convert it to UTF-8`},
		{lf, "nowhere", 1, `t: 1 document: the separator "nowhere" (data.document) does not occur`},
	} {
		corpus, err := NewCorpus("t", []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		got := corpus.CheckSeparator(c.separator)
		if strings.HasPrefix(c.want, "t: ") && got != c.want || !strings.HasSuffix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%q: got %s, want %s", c.separator, got, c.want)
		}
		if n := corpus.Documents(c.separator).Len(); n != c.documents {
			t.Errorf("%q: %d documents, want %d", c.separator, n, c.documents)
		}
	}
}
