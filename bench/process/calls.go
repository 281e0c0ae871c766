package process

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// request is a line that a parent writes; response the line that answers it.
type request struct {
	Call string          `json:"call"`
	Args json.RawMessage `json:"args,omitempty"`
}

type response struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// Calls are what a child can be asked to do, by name.
type Calls map[string]func(args json.RawMessage) (any, error)

// Handle makes a call of a function.
func Handle[A, R any](f func(A) (R, error)) func(json.RawMessage) (any, error) {
	return func(args json.RawMessage) (any, error) {
		var a A
		if len(args) > 0 {
			if err := json.Unmarshal(args, &a); err != nil {
				return nil, fmt.Errorf("decode the arguments: %w", err)
			}
		}
		return f(a)
	}
}

// None is for calls without arguments or without a result.
type None struct{}

// maxLine is the longest request or response.
const maxLine = 64 << 20

// Serve answers a parent's calls, one after the other, until in ends.
func Serve(in io.Reader, out io.Writer, calls Calls) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	answer := json.NewEncoder(out)
	for lines.Scan() {
		var req request
		if err := json.Unmarshal(lines.Bytes(), &req); err != nil {
			return fmt.Errorf("decode a call: %w", err)
		}
		if err := answer.Encode(calls.do(req)); err != nil {
			return fmt.Errorf("answer a call: %w", err)
		}
	}
	return lines.Err()
}

func (c Calls) do(req request) response {
	call, ok := c[req.Call]
	if !ok {
		return response{Error: "there is no call " + req.Call}
	}
	result, err := call(req.Args)
	if err != nil {
		return response{Error: err.Error()}
	}
	b, err := json.Marshal(result)
	if err != nil {
		return response{Error: err.Error()}
	}
	return response{Result: b}
}

// unpack is Serve's counterpart in the parent.
func unpack(line []byte, result any) error {
	var res response
	if err := json.Unmarshal(line, &res); err != nil {
		return fmt.Errorf("decode an answer: %w", err)
	}
	if res.Error != "" {
		return errors.New(res.Error)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(res.Result, result); err != nil {
		return fmt.Errorf("decode an answer: %w", err)
	}
	return nil
}
