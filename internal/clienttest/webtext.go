package clienttest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
)

const (
	mediaWeb     = "application/grpc-web+proto"
	mediaWebText = "application/grpc-web-text+proto"
)

// textTransport makes gRPC-Web's text variant of its binary one: base64 both ways. Each of connect's
// writes is padded by itself, as the protocol allows.
type textTransport struct{ *http.Transport }

func (t textTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Content-Type", mediaWebText)
	req.ContentLength = -1
	req.Body = &textEncoder{body: req.Body}
	res, err := t.Transport.RoundTrip(req)
	if err != nil || res.StatusCode != http.StatusOK {
		return res, err
	}
	if got := res.Header.Get("Content-Type"); got != mediaWebText {
		_ = res.Body.Close()
		return nil, fmt.Errorf("the response's type is %q, want %q", got, mediaWebText)
	}
	res.Header.Set("Content-Type", mediaWeb)
	res.Body = &textDecoder{body: res.Body}
	return res, nil
}

type textEncoder struct {
	body io.ReadCloser
	text []byte
}

func (e *textEncoder) Read(p []byte) (int, error) {
	if len(e.text) == 0 {
		plain := make([]byte, 1<<10)
		n, err := e.body.Read(plain)
		if n == 0 {
			return 0, err
		}
		e.text = base64.StdEncoding.AppendEncode(e.text, plain[:n])
	}
	n := copy(p, e.text)
	e.text = e.text[n:]
	return n, nil
}

func (e *textEncoder) Close() error { return e.body.Close() }

// textDecoder decodes as a browser's client does: all groups of four that have come, and never waits
// for more while it has some.
type textDecoder struct {
	body        io.ReadCloser
	text, plain []byte
}

func (d *textDecoder) Read(p []byte) (int, error) {
	for len(d.plain) == 0 {
		if cap(d.text) == 0 {
			d.text = make([]byte, 0, 16<<10)
		}
		n, err := d.body.Read(d.text[len(d.text):cap(d.text)])
		d.text = d.text[:len(d.text)+n]
		if e := d.decode(); e != nil {
			return 0, e
		}
		if err == io.EOF && len(d.text) > 0 {
			return 0, fmt.Errorf("the text ends with %q, which is no group of four: %w", d.text, io.ErrUnexpectedEOF)
		}
		if err != nil && len(d.plain) == 0 {
			return 0, err
		}
	}
	n := copy(p, d.plain)
	d.plain = d.plain[n:]
	return n, nil
}

// decode takes each run of groups that ends with padding, or with what has come.
func (d *textDecoder) decode() error {
	text := d.text[:len(d.text)/4*4]
	left := d.text[len(text):]
	d.plain = d.plain[:0]
	for len(text) > 0 {
		run := text
		if i := bytes.IndexByte(text, '='); i >= 0 {
			run = text[:i/4*4+4]
		}
		var err error
		if d.plain, err = base64.StdEncoding.AppendDecode(d.plain, run); err != nil {
			return fmt.Errorf("decode %q: %w", run, err)
		}
		text = text[len(run):]
	}
	d.text = d.text[:copy(d.text, left)]
	return nil
}

func (d *textDecoder) Close() error { return d.body.Close() }
