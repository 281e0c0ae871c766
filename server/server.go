package server

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	connectcors "connectrpc.com/cors"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	"github.com/klauspost/compress/gzhttp"
	"github.com/rs/cors"

	"paystream/broadcast"
	"paystream/gen/payment/paymentpbconnect"
)

// Source is the side that fills the log, as far as the server needs to know it.
type Source interface {
	History
	// Ready says that the log has caught up for the first time, or why not, for operators. Once
	// ready it stays so; the reason is then what else they should know, mostly nothing.
	Ready() (ok bool, reason string)
	// Fingerprint tells the topic apart from all others; it is final once Ready.
	Fingerprint() Fingerprint
	// Epochs returns the leader epochs, by partition, under which what the log has is what Kafka has; below 0 is
	// not known. The server does not change it.
	Epochs() []int32
}

// Config is how a server serves.
type Config struct {
	Topic string
	// MaxSubscribers bounds the open streams; 0 is no bound.
	MaxSubscribers int
	// WriteTimeout is how long a subscriber may take nothing before it is closed.
	WriteTimeout time.Duration
	// DrainTimeout is how long Serve waits for streams to end.
	DrainTimeout time.Duration
	// CORSOrigins are the origins whose pages may call; none, and browsers let only our own.
	CORSOrigins []string
	// TLSCertFile and TLSKeyFile are PEM files; without them the port is cleartext.
	TLSCertFile, TLSKeyFile string
	// Page answers GET / and what is below /assets/. It compresses by itself.
	Page   http.Handler
	Logger *slog.Logger
}

// Bounds on what a request may cost.
const (
	maxRequestBytes   = 64 << 10
	maxHeaderBytes    = 64 << 10
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second // of a request's body
	idleTimeout       = 3 * time.Minute
	// compressFrom is the size from which unary answers are compressed, where the client asks.
	compressFrom = 1 << 10
)

// Server serves one log. Create it with [New].
type Server struct {
	cfg     Config
	log     *broadcast.Log
	source  Source
	formats formats
	stalls  *stalls
	chunked *chunkedConns

	subscribers atomic.Int64
	draining    atomic.Bool   // the server stops
	drained     chan struct{} // closed then, for those whom the log does not wake
	spread      atomic.Int64  // over which time those who are told to go come back, a time.Duration
}

// New returns a server of the log.
func New(cfg Config, log *broadcast.Log, source Source) *Server {
	s := &Server{cfg: cfg, log: log, source: source, stalls: newStalls(cfg.WriteTimeout), chunked: newChunkedConns(), drained: make(chan struct{})}
	s.formats = s.newFormats()
	return s
}

// Subscribers returns how many streams are open.
func (s *Server) Subscribers() int { return int(s.subscribers.Load()) }

// Handler returns the mux that serves everything on the port.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	path, payments := paymentpbconnect.NewPaymentServiceHandler(rpc{s}, rpcOptions()...)
	mux.Handle(path, s.timed(withWebText(inTwoActs(payments))))

	services := []string{paymentpbconnect.PaymentServiceName}
	reflector := grpcreflect.NewStaticReflector(append(services, grpchealth.HealthV1ServiceName)...)
	limit := connect.WithReadMaxBytes(maxRequestBytes)
	mux.Handle(grpcreflect.NewHandlerV1(reflector, limit))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, limit))
	mux.Handle(grpchealth.NewHandler(health{s}, limit))

	compressed := compressing()
	mux.Handle("GET /payments", s.timed(compressed(http.HandlerFunc(s.serveList))))
	mux.Handle("GET /payments/{id}", s.timed(compressed(http.HandlerFunc(s.serveGet))))
	mux.Handle("GET /payments/stream", s.timed(http.HandlerFunc(s.serveEventStream)))
	mux.HandleFunc("GET /healthz", serveHealthz)
	mux.HandleFunc("GET /readyz", s.serveReadyz)
	if s.cfg.Page != nil {
		mux.Handle("GET /{$}", s.timed(s.cfg.Page))
		mux.Handle("GET /assets/", s.timed(s.cfg.Page))
	}
	return s.withStreams(s.withCORS(http.MaxBytesHandler(mux, maxRequestBytes)))
}

// timed bounds how long a request may take to arrive and its answer to be taken. A stream lifts both
// once it is open; what is left on a kept connection is replaced by its next request.
func (s *Server) timed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.setDeadlines(w)
		h.ServeHTTP(w, r)
	})
}

func (s *Server) setDeadlines(w http.ResponseWriter) {
	control, now := http.NewResponseController(w), time.Now()
	_ = control.SetReadDeadline(now.Add(readTimeout)) // a writer without deadlines has none to keep
	if s.cfg.WriteTimeout > 0 {
		_ = control.SetWriteDeadline(now.Add(s.cfg.WriteTimeout))
	}
}

// logPanic puts what a handler panicked with into the log, where net/http's own line is not shown.
func (s *Server) logPanic(p any) {
	if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
		s.cfg.Logger.Error("handler panicked", "panic", p, "stack", string(debug.Stack()))
	}
}

// ready returns the error of a call that comes before the log has caught up, or while draining.
func (s *Server) ready() error {
	if s.draining.Load() {
		return unavailable("the gateway is shutting down")
	}
	if ok, reason := s.source.Ready(); !ok {
		return unavailable(reason)
	}
	return nil
}

// comeBackEach is how much longer the subscribers of a gateway that stops take to come back for each of them, so that
// they come to the others at no more than 500 a second.
const comeBackEach = 2 * time.Millisecond

// drain ends all streams, and lets no new ones begin.
func (s *Server) drain() {
	comeBack := max(time.Second, min(time.Duration(s.Subscribers())*comeBackEach, s.cfg.DrainTimeout))
	s.spread.Store(int64(comeBack))
	if !s.draining.Swap(true) {
		close(s.drained)
	}
	s.log.Wake()
}

// withCORS lets pages of the configured origins call. Without any it stays out of the way: rs/cors
// takes an empty list for "every origin".
func (s *Server) withCORS(h http.Handler) http.Handler {
	if len(s.cfg.CORSOrigins) == 0 {
		return h
	}
	return cors.New(cors.Options{
		AllowedOrigins: s.cfg.CORSOrigins,
		AllowedMethods: connectcors.AllowedMethods(),
		AllowedHeaders: append(connectcors.AllowedHeaders(), "Last-Event-ID"),
		ExposedHeaders: append(connectcors.ExposedHeaders(), cursorHeader, timeHeader),
		MaxAge:         int((2 * time.Hour).Seconds()),
	}).Handler(h)
}

// compressing returns the middleware that compresses larger answers of plain HTTP.
func compressing() func(http.Handler) http.HandlerFunc {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(compressFrom))
	if err != nil {
		panic("server: gzip options: " + err.Error()) // they are constants
	}
	return wrap
}
