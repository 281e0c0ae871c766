// Package h2direct writes the DATA frames of HTTP/2 streams straight to their connection, beside the
// HTTP/2 server that does everything else: net/http's, which hands each frame from goroutine to
// goroutine three times and copies it on the way.
//
// A [Conn] stands between the server and the network. It passes on what either sends, and reads along:
// where frames begin and end, which streams are open, and how much their clients will take. So a
// [Stream] can put whole frames between those of the server, within the client's flow control.
//
// What it guarantees: frames are never torn apart; a stream's frames follow its headers and none
// follows its end; flow-control windows are respected, and the server is never told of more than it
// may use. Write blocks until the client takes the bytes, the context ends, or the connection breaks.
//
// The server's own accounts of the windows know nothing of direct frames. It is therefore passed no
// more of the client's WINDOW_UPDATEs than it needs: its view of a window grows to serverWindow and no
// further, or it would overflow in the end. Direct frames leave a reserve in each window, for what the
// server sends at a stream's end. A DATA frame of the server that the client's window has no room for,
// since it believes in a window that direct frames have used, is sent in parts, and what the server
// writes behind it waits. Direct frames of other streams go on.
package h2direct
