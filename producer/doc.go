// Package producer writes payments to Kafka, and makes sample payments to write.
//
// What it guarantees:
//
//   - Order: records with the same key reach the partition of that key in the order in which
//     Write got them, as long as none fails. The partition is the one that Java's clients choose
//     (murmur2), so that other producers of the same payment agree.
//   - Loss: a record is acknowledged when all in-sync replicas have it. One that is not
//     acknowledged may have been written all the same, and one that was sent again after an answer
//     was lost may be there twice: consumers get each at least once.
//   - Blocking: Write returns when each of its records is acknowledged or has failed, or when its
//     context is done. Kafka being away makes it fail after about ten seconds.
package producer
