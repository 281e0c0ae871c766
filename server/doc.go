// Package server hands a log of payments out over one port: gRPC, gRPC-Web (binary and text), Connect,
// server-sent events and NDJSON, over HTTP/1.1 and HTTP/2, cleartext or TLS. What it guarantees:
//
//   - Order and loss. Every subscriber gets what the log guarantees its [broadcast.Subscription]: all
//     records behind its cursor, in order within each partition, or an error that says which cursor
//     to go on from. A stream never ends without an error.
//   - Blocking. A subscriber is served by its own goroutine from shared memory. One that takes
//     nothing for Config.WriteTimeout is closed; until then it holds up nobody but those that share
//     its connection.
//   - Secrets. Nothing of a payment is logged. Errors that reach clients are written for them.
//
// Events are encoded in frames.go and written by the sinks (rpc.go, eventstream.go); everything else
// deals with positions.
package server
