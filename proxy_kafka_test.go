//go:build kafka

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"paystream/internal/kafkatest"
)

// proxy is HAProxy or nginx in front of gateways, with the configuration that docs/ has for users.
type proxy struct {
	grpc, http string // URLs
	process    *child
	log        *logged
}

func proxies() map[string]func(*testing.T, []*instance) *proxy {
	return map[string]func(*testing.T, []*instance) *proxy{"HAProxy": startHAProxy, "nginx": startNginx}
}

func startHAProxy(t *testing.T, gateways []*instance) *proxy {
	t.Helper()
	at := freeAddresses(t, 1)[0]
	config := configured(t, "docs/haproxy.cfg", gateways, "bind :50051", "bind "+at)
	return startProxy(t, at, at, "haproxy", "-db", "-f", config)
}

func startNginx(t *testing.T, gateways []*instance) *proxy {
	t.Helper()
	at, own := freeAddresses(t, 2), t.TempDir()
	paths := "http {\naccess_log /dev/stdout;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		paths += fmt.Sprintf("%s_temp_path %s;\n", kind, filepath.Join(own, kind))
	}
	config := configured(t, "docs/nginx.conf", gateways,
		"listen 50051", "listen "+at[0], "listen 50052", "listen "+at[1], "\nhttp {\n", "\n"+paths)
	return startProxy(t, at[1], at[0], "nginx", "-p", own, "-e", "stderr", "-c", config,
		"-g", "daemon off; master_process off; pid "+filepath.Join(own, "pid")+";")
}

// configured writes a configuration of docs/ with the gateways' addresses, and other replacements, in it.
func configured(t *testing.T, file string, gateways []*instance, replace ...string) string {
	t.Helper()
	for i, g := range gateways {
		replace = append(replace, fmt.Sprintf(" gateway-%d:50051", i+1), " "+g.address)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !bytes.Contains(b, []byte(replace[i])) {
			t.Fatalf("%s has no %q", file, replace[i])
		}
	}
	config := filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.WriteFile(config, []byte(strings.NewReplacer(replace...).Replace(string(b))), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

func startProxy(t *testing.T, grpc, http string, program string, args ...string) *proxy {
	t.Helper()
	p := &proxy{grpc: "http://" + grpc, http: "http://" + http, log: &logged{}}
	path, libraries := findProxy(t, program)
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), libraries)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	p.process = startChild(t, cmd)
	for _, at := range []string{grpc, http} {
		soon(t, program+" listens", func() error {
			select {
			case <-p.process.ended:
				t.Fatalf("%s ended with %v:\n%s", program, p.process.err, p.log)
			default:
			}
			conn, err := net.Dial("tcp", at)
			if err == nil {
				conn.Close()
			}
			return err
		})
	}
	return p
}

// findProxy finds a program that is installed, or that internal/proxytest/fetch.sh has fetched.
func findProxy(t *testing.T, program string) (path, libraries string) {
	t.Helper()
	for _, path := range []string{program, filepath.Join("/usr/sbin", program)} {
		if found, err := exec.LookPath(path); err == nil {
			return found, ""
		}
	}
	fetched, err := filepath.Abs(filepath.Join(".proxies/usr/sbin", program))
	if err == nil {
		_, err = os.Stat(fetched)
	}
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("no %s: run internal/proxytest/fetch.sh, as make test-kafka does", program)
	default:
		t.Skipf("no %s, neither installed nor fetched by internal/proxytest/fetch.sh", program)
	}
	found, err := filepath.Glob(filepath.Join(filepath.Dir(fetched), "../lib/*-linux-gnu*"))
	if err != nil {
		t.Fatal(err)
	}
	return fetched, "LD_LIBRARY_PATH=" + strings.Join(found, ":")
}

// logLine finds, in a line of either proxy's log, the status that the client was given.
var logLine = regexp.MustCompile(`(?: \d+/\d+/-?\d+/-?\d+/\d+|HTTP/[\d.]+") (\d{3}) \d+ (?:- - (\S{4}))?`)

// check has the proxy say what became of the requests.
func (p *proxy) check(t *testing.T) {
	t.Helper()
	p.process.stop()
	p.process.awaitEnd(t)
	statuses := map[string]int{}
	for line := range strings.Lines(p.log.String()) {
		if m := logLine.FindStringSubmatch(line); m != nil {
			statuses[strings.TrimSpace(m[1]+" "+m[2])]++
			if m[1] >= "500" {
				t.Errorf("a request failed: %s", line)
			}
		}
	}
	if t.Failed() {
		t.Logf("the log:\n%s", p.log)
	}
	t.Logf("requests by status: %v", statuses)
}

func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	ports, err := kafkatest.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, port := range ports {
		addresses = append(addresses, fmt.Sprint("127.0.0.1:", port))
	}
	return addresses
}

// child is a program that the test's end kills, if nothing else has ended it.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended, after that
}

func startChild(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	c := &child{cmd: cmd, ended: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		c.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails only when it has ended
		c.awaitEnd(t)
	})
	return c
}

func (c *child) stop() { _ = c.cmd.Process.Signal(syscall.SIGTERM) } // fails only when it has ended

func (c *child) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(patience):
		t.Fatalf("%s has not ended after %v", c.cmd.Path, patience)
	}
}
