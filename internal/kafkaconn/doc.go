// Package kafkaconn connects to Kafka: it turns settings into connections with
// TLS and SASL, carries any Kafka request over them, and puts into words, for
// the person who has to set it right, why Kafka can not be reached.
//
// What it guarantees:
//
//   - A [Transport] that is closed has no open connection, and none that it
//     opened stays half set up for longer than the dial time-out.
//   - A request waits no longer than its context, which must have a deadline:
//     a broker that is half gone answers nothing and closes nothing.
//   - Order and loss: a request is sent once, and its answer or an error comes
//     back; what was sent when a connection broke may have been done. Whether to
//     try again is the caller's to decide.
//   - No error's text holds a password.
package kafkaconn
