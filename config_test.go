package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/joho/godotenv"

	"paystream/payment"
)

// load reads the configuration of serve, in an empty directory.
func load(t *testing.T, env []string, args ...string) (*Config, error) {
	t.Helper()
	p := &program{env: env}
	cmd := p.rootCommand()
	cmd.ResetFlags()
	read := p.configFlags(cmd, keys())
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return read()
}

func TestDefaults(t *testing.T) {
	t.Chdir(t.TempDir())
	got, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Topic: "payments.raw", GroupID: "payment-service", Isolation: ReadCommitted, MaxRecordBytes: 1 << 20,
		GRPCHost: "127.0.0.1", GRPCPort: 50051, AdminAddr: "127.0.0.1:9464",
		MaxSubscribers: 10000, WriteTimeout: time.Minute, DrainTimeout: 10 * time.Second,
		RetainPayments: 100000, RetainBytes: 64 << 20, RetainAge: 24 * time.Hour, BackfillReaders: 4,
		AmountUnits: payment.Auto, LogFormat: "json",
	}
	want.Kafka.Brokers, want.Kafka.Mechanism, want.Kafka.ClientID = []string{"localhost:9092"}, "PLAIN", "paystream"
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Error(diff)
	}
	if len(got.warnings) != 0 {
		t.Errorf("warnings: %v", got.warnings)
	}
}

func TestPrecedence(t *testing.T) {
	t.Chdir(t.TempDir())
	writeDotenv(t, "KAFKA_TOPIC=file\nADMIN_ADDR=\nexport RETAIN_AGE='3h' # three\n")
	for name, tt := range map[string]struct {
		env  []string
		args []string
		want string
		from source
	}{
		"file over default":          {nil, nil, "file", fromFile},
		"environment over file":      {[]string{"KAFKA_TOPIC=env"}, nil, "env", fromEnv},
		"flag over environment":      {[]string{"KAFKA_TOPIC=env"}, []string{"--kafka-topic=flag"}, "flag", fromFlag},
		"empty environment is unset": {[]string{"KAFKA_TOPIC="}, nil, "file", fromFile},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := load(t, tt.env, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Topic != tt.want || cfg.settings[1].source != tt.from {
				t.Errorf("got %s from %s, want %s from %s", cfg.Topic, cfg.settings[1].source, tt.want, tt.from)
			}
			if cfg.AdminAddr != "" {
				t.Errorf("ADMIN_ADDR, said to be empty, is %q", cfg.AdminAddr)
			}
			if cfg.RetainAge != 3*time.Hour {
				t.Errorf("RETAIN_AGE is %v", cfg.RetainAge)
			}
		})
	}
}

func TestValues(t *testing.T) {
	t.Chdir(t.TempDir())
	touch(t, "cert.pem")
	for entry, ok := range map[string]func(*Config) bool{
		"KAFKA_BROKERS=a:1, b ,[::1]:3,":     func(c *Config) bool { return cmp.Equal(c.Kafka.Brokers, []string{"a:1", "b:9092", "[::1]:3"}) },
		"KAFKA_SASL_MECHANISM=scram-sha-512": func(c *Config) bool { return c.Kafka.Mechanism == "SCRAM-SHA-512" },
		"KAFKA_ISOLATION_LEVEL=READ_UNCOMMITTED": func(c *Config) bool {
			return c.Isolation == ReadUncommitted
		},
		"KAFKA_MAX_RECORD_BYTES=1000000": func(c *Config) bool { return c.MaxRecordBytes == 1000000 },
		"KAFKA_MAX_RECORD_BYTES=10MB":    func(c *Config) bool { return c.MaxRecordBytes == 10_000_000 },
		"RETAIN_BYTES=2GiB":              func(c *Config) bool { return c.RetainBytes == 2<<30 },
		"RETAIN_AGE=90m":                 func(c *Config) bool { return c.RetainAge == 90*time.Minute },
		"DRAIN_TIMEOUT=0":                func(c *Config) bool { return c.DrainTimeout == 0 },
		"GRPC_HOST=localhost":            func(c *Config) bool { return c.GRPCAddr() == "localhost:50051" },
		"GRPC_HOST=::1":                  func(c *Config) bool { return c.GRPCAddr() == "[::1]:50051" },
		"GRPC_HOST=127.0.0.53":           func(c *Config) bool { return c.GRPCHost == "127.0.0.53" },
		"GRPC_PORT=0":                    func(c *Config) bool { return c.GRPCPort == 0 },
		"CORS_ORIGINS=https://A.example, http://b:8080": func(c *Config) bool {
			return cmp.Equal(c.CORSOrigins, []string{"https://a.example", "http://b:8080"})
		},
		"CORS_ORIGINS=*":      func(c *Config) bool { return cmp.Equal(c.CORSOrigins, []string{"*"}) },
		"ADMIN_ADDR=:9000":    func(c *Config) bool { return c.AdminAddr == ":9000" },
		"AMOUNT_UNITS=Minor":  func(c *Config) bool { return c.AmountUnits == payment.Minor },
		"LOG_LEVEL=WARN":      func(c *Config) bool { return c.LogLevel.String() == "WARN" },
		"LOG_FORMAT=text":     func(c *Config) bool { return c.LogFormat == "text" },
		"KAFKA_SSL=1":         func(c *Config) bool { return c.Kafka.SSL },
		"KAFKA_SSL=yes":       func(c *Config) bool { return c.Kafka.SSL },
		"KAFKA_SSL=off":       func(c *Config) bool { return !c.Kafka.SSL },
		"MAX_SUBSCRIBERS=1":   func(c *Config) bool { return c.MaxSubscribers == 1 },
		"RETAIN_PAYMENTS=500": func(c *Config) bool { return c.RetainPayments == 500 },
	} {
		t.Run(entry, func(t *testing.T) {
			cfg, err := load(t, []string{entry})
			if err != nil {
				t.Fatal(err)
			}
			if !ok(cfg) {
				t.Errorf("%+v", cfg)
			}
		})
	}
}

func TestRefusedValues(t *testing.T) {
	t.Chdir(t.TempDir())
	const secret = "hunter2"
	for name, tt := range map[string]struct {
		env  string
		want string // in the error, besides the first entry's key
	}{
		"no broker":                  {"KAFKA_BROKERS=,", "names no broker"},
		"broker as a URL":            {"KAFKA_BROKERS=kafka://me:" + secret + "@host:9092", "host:port"},
		"broker with a bad port":     {"KAFKA_BROKERS=host:http", `"host:http"`},
		"two topics":                 {"KAFKA_TOPIC=a,b", "one topic"},
		"no name for a topic":        {"KAFKA_TOPIC=a/b", "letters"},
		"neither true nor false":     {"KAFKA_SSL=maybe", "true or false"},
		"missing file":               {"KAFKA_SSL_CA_FILE=none.pem KAFKA_SSL=true", "no such file"},
		"certificate without key":    {"KAFKA_SSL_CERT_FILE=cert.pem", "KAFKA_SSL_KEY_FILE is not"},
		"key without certificate":    {"KAFKA_SSL_KEY_FILE=key.pem", "KAFKA_SSL_CERT_FILE is not"},
		"unknown mechanism":          {"KAFKA_SASL_MECHANISM=GSSAPI", "SCRAM-SHA-256"},
		"user name without password": {"KAFKA_SASL_USERNAME=me", "KAFKA_SASL_PASSWORD is not"},
		"password without user name": {"KAFKA_SASL_PASSWORD=" + secret, "KAFKA_SASL_USERNAME is not"},
		"registry without http":      {"KAFKA_SCHEMA_REGISTRY_URL=ftp://me:" + secret + "@host", "http"},
		"registry with half a pair":  {"KAFKA_SCHEMA_REGISTRY_AUTH=" + secret, "key:secret"},
		"unknown isolation":          {"KAFKA_ISOLATION_LEVEL=serializable", "read_uncommitted"},
		"no size":                    {"KAFKA_MAX_RECORD_BYTES=big", "64MiB"},
		"negative size":              {"RETAIN_BYTES=-1", "64MiB"},
		"size of nothing":            {"RETAIN_BYTES=0", "1 byte"},
		"size beyond reason":         {"KAFKA_MAX_RECORD_BYTES=2GiB", "1.0 GiB"},
		"all addresses":              {"GRPC_HOST=0.0.0.0", "--allow-anonymous"},
		"a name":                     {"GRPC_HOST=payments.example.com", "GRPC_ALLOW_ANONYMOUS=true"},
		"port beyond all":            {"GRPC_PORT=65536", "65535"},
		"port of a linked service":   {"GRPC_PORT=tcp://10.0.0.1:50051", "65535"},
		"gateway key alone":          {"GRPC_TLS_KEY_FILE=key.pem", "GRPC_TLS_CERT_FILE is not"},
		"origin without scheme":      {"CORS_ORIGINS=app.example.com", "scheme://host"},
		"origin with a path":         {"CORS_ORIGINS=https://app.example.com/", "write https://app.example.com"},
		"origin with a star":         {"CORS_ORIGINS=https://*.example.com", "* alone"},
		"origin with a password":     {"CORS_ORIGINS=https://me:" + secret + "@x", "scheme://host"},
		"address without port":       {"ADMIN_ADDR=localhost", "host:port"},
		"no subscribers":             {"MAX_SUBSCRIBERS=0", "from 1"},
		"duration without unit":      {"WRITE_TIMEOUT=60", "30s"},
		"no time to write":           {"WRITE_TIMEOUT=0s", "too short"},
		"negative drain":             {"DRAIN_TIMEOUT=-1s", "too short"},
		"retain nothing":             {"RETAIN_PAYMENTS=0", "from 1"},
		"unknown units":              {"AMOUNT_UNITS=cents", "minor"},
		"unknown level":              {"LOG_LEVEL=loud", "debug"},
		"unknown format":             {"LOG_FORMAT=xml", "text or json"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, strings.Fields(tt.env))
			if err == nil {
				t.Fatal("accepted")
			}
			key, _, _ := strings.Cut(tt.env, "=")
			if got := err.Error(); !strings.Contains(got, key) || !strings.Contains(got, tt.want) {
				t.Errorf("%q does not name %s and %q", got, key, tt.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q tells the password", err)
			}
			if exitCode(err) != exitUsage {
				t.Errorf("exit code %d", exitCode(err))
			}
		})
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := load(t, []string{"GRPC_PORT=x", "LOG_LEVEL=y"}, "--retain-age=z")
	for _, key := range []string{"GRPC_PORT (from environment)", "LOG_LEVEL (from environment)", "RETAIN_AGE (from flag)"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%v does not name %s", err, key)
		}
	}
}

func TestAnonymousAccessIsPossibleWhenSaid(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, tt := range map[string]struct{ env, args []string }{
		"environment": {[]string{"GRPC_HOST=0.0.0.0", "GRPC_ALLOW_ANONYMOUS=true"}, nil},
		"flag":        {[]string{"GRPC_HOST=0.0.0.0"}, []string{"--allow-anonymous"}},
	} {
		t.Run(name, func(t *testing.T) {
			if cfg, err := load(t, tt.env, tt.args...); err != nil || !cfg.AllowAnonymous {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for name, tt := range map[string]struct {
		env    []string
		dotenv string
		want   []string // each in one warning, in this order
	}{
		"unknown in the environment": {[]string{"KAFKA_BROKER=x"}, "", []string{"KAFKA_BROKER: unknown key in environment; the nearest known one is KAFKA_BROKERS"}},
		"unknown in the file":        {nil, "RETAIN_PAYMENT=1\n", []string{"RETAIN_PAYMENT: unknown key in .env; the nearest known one is RETAIN_PAYMENTS"}},
		"of every kind": {
			[]string{"AMOUNT_UNIT=x", "CORS_ORIGIN=x", "GRPC_TLS_CERT=x", "LOG_LEVELS=x", "MAX_SUBSCRIBER=x"},
			"",
			[]string{"AMOUNT_UNITS", "CORS_ORIGINS", "GRPC_TLS_CERT_FILE", "LOG_LEVEL", "MAX_SUBSCRIBERS"},
		},
		"not ours":         {[]string{"PATH=/bin", "HOME=/", "JAVA_HOME=/", "LOGNAME=me", "_=x"}, "OTHER_KEY=1\n", nil},
		"another's":        {[]string{"GRPC_VERBOSITY=debug", "KAFKA_HEAP_OPTS=-Xmx1g"}, "", nil},
		"a linked service": {[]string{"KAFKA_SERVICE_HOST=10.0.0.1", "KAFKA_PORT=tcp://10.0.0.1:9092", "KAFKA_PORT_9092_TCP_ADDR=10.0.0.1"}, "", nil},
		"schema registry":  {[]string{"KAFKA_SCHEMA_REGISTRY_URL=http://r:8081", "KAFKA_SCHEMA_REGISTRY_AUTH=a:b"}, "", []string{"KAFKA_SCHEMA_REGISTRY_URL: not used"}},
		"CA without TLS":   {[]string{"KAFKA_SSL_CA_FILE=ca.pem"}, "", []string{"KAFKA_SSL: false"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if tt.dotenv != "" {
				writeDotenv(t, tt.dotenv)
			}
			cfg, err := load(t, tt.env)
			if err != nil {
				t.Fatal(err)
			}
			if len(cfg.warnings) != len(tt.want) {
				t.Fatalf("got %v, want %q", cfg.warnings, tt.want)
			}
			for i, want := range tt.want {
				if got := cfg.warnings[i].String(); !strings.Contains(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
}

func TestMalformedDotenv(t *testing.T) {
	t.Chdir(t.TempDir())
	writeDotenv(t, "# fine\nKAFKA_TOPIC=x\n\nKAFKA_SASL-PASSWORD=hunter2\nGRPC_PORT=1\n")
	_, err := load(t, nil)
	if err == nil || exitCode(err) != exitUsage || !strings.Contains(err.Error(), ".env: line 4") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestConfigCommand(t *testing.T) {
	t.Chdir(t.TempDir())
	writeDotenv(t, "RETAIN_AGE=1h\nKAFKA_GROUP_ID=file\nGRPC_PORT=6000\nLOG_LEVEL=warn\n")
	got := runInProcess(t.Context(), []string{
		"KAFKA_SASL_USERNAME=me", "KAFKA_GROUP_ID=env", "GRPC_PORT=6500", "LOG_LEVEL=", "KAFKA_SASL_PASSWORD=hunter2", "KAFKA_SCHEMA_REGISTRY_AUTH=key:hunter2",
		"KAFKA_SCHEMA_REGISTRY_URL=https://me:hunter2@registry:8081/v1?token=hunter2", "KAFKA_TOPICS=x",
	}, "config", "-grpc-port=7000")
	if got.code != 0 {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	for _, want := range []string{
		`GRPC_PORT +7000 +flag, over environment and \.env`, `KAFKA_GROUP_ID +env +environment, over \.env`,
		`LOG_LEVEL +warn +` + regexp.QuoteMeta(dotenvPath()), `KAFKA_SASL_USERNAME +me +environment`, `RETAIN_AGE +1h +` + regexp.QuoteMeta(dotenvPath()), `KAFKA_TOPIC +payments\.raw +default`,
		`KAFKA_SASL_PASSWORD +\*+ +environment`, `KAFKA_SCHEMA_REGISTRY_AUTH +\*+ +environment`,
		`KAFKA_SCHEMA_REGISTRY_URL +https://\*+@registry:8081/v1\?\*+ +environment`, `CORS_ORIGINS +- +default`, `LOG_FORMAT +json +default`,
	} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(got.stdout) {
			t.Errorf("no line %s in\n%s", want, got.stdout)
		}
	}
	for _, k := range keys() {
		if !strings.Contains(got.stdout, k.name+" ") {
			t.Errorf("%s is missing", k.name)
		}
	}
	if strings.Contains(got.stdout+got.stderr, "hunter2") {
		t.Errorf("a secret is told:\n%s%s", got.stdout, got.stderr)
	}
	if !strings.Contains(got.stderr, "KAFKA_TOPICS") {
		t.Errorf("no warning of the unknown key: %s", got.stderr)
	}
}

func TestConfigCommandInJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	writeDotenv(t, "RETAIN_AGE=1h\nGRPC_PORT=6000\n")
	got := runInProcess(t.Context(), []string{
		"KAFKA_SASL_USERNAME=me", "KAFKA_SASL_PASSWORD=hunter2", "KAFKA_SCHEMA_REGISTRY_URL=https://me:hunter2@registry:8081",
	}, "config", "-json", "-grpc-port=7000")
	var settings []settingJSON
	if err := json.Unmarshal([]byte(got.stdout), &settings); err != nil || got.code != 0 {
		t.Fatalf("exit code %d, %v\n%s%s", got.code, err, got.stdout, got.stderr)
	}
	byKey := map[string]settingJSON{}
	for _, s := range settings {
		byKey[s.Key] = s
	}
	if len(byKey) != len(keys()) {
		t.Errorf("%d keys, want %d", len(byKey), len(keys()))
	}
	for _, want := range []settingJSON{
		{Key: "GRPC_PORT", Value: "7000", From: "flag", Over: []source{".env"}},
		{Key: "RETAIN_AGE", Value: "1h", From: ".env", File: dotenvPath()},
		{Key: "KAFKA_SASL_PASSWORD", Value: masked, From: "environment"},
		{Key: "KAFKA_SCHEMA_REGISTRY_AUTH", Value: "", From: "default"},
		{Key: "KAFKA_TOPIC", Value: "payments.raw", From: "default"},
	} {
		if diff := cmp.Diff(want, byKey[want.Key]); diff != "" {
			t.Error(diff)
		}
	}
	if strings.Contains(got.stdout+got.stderr, "hunter2") {
		t.Errorf("a secret is told:\n%s%s", got.stdout, got.stderr)
	}
}

// The file that people start from is read as theirs will be.
func TestEnvExample(t *testing.T) {
	example, err := os.ReadFile(".env.example")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	defaults, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	writeDotenv(t, string(example))
	cfg, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaults, cfg, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Errorf("these are not the defaults:\n%s", diff)
	}
	if len(cfg.warnings) > 0 {
		t.Errorf("warnings: %v", cfg.warnings)
	}
	values, err := godotenv.Unmarshal(string(example))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys() {
		if value, ok := values[k.name]; !ok || value != k.value {
			t.Errorf("%s is %q there (%t), its default is %q", k.name, value, ok, k.value)
		}
	}
}

func TestEveryKeyIsAFlag(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, k := range keys() {
		if help := runInProcess(t.Context(), nil, "serve", "--help").stdout; !strings.Contains(help, "--"+k.flag()+" ") || !strings.Contains(help, "[$"+k.name+"]") {
			t.Errorf("serve --help does not name --%s and %s", k.flag(), k.name)
		}
	}
}

func writeDotenv(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(".env", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func touch(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Clean(name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
