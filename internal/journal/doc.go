// Package journal keeps, durably, what this host owns: the courier's intents
// and the table of its pools, networks and attachments. It implements
// courier.Journal over one append-only file, and knows nothing of what the
// entries mean.
//
// # The file
//
// A header names the format, its version and a random salt; every version has
// it, with its own sum. Frames follow, one for each Write or Note, so that a
// call's entries are kept all or none:
//
//	magic   4 bytes  "KFRM"
//	length  4 bytes  of the payload
//	synced  8 bytes  how much of the file was known to be on the disk when
//	                 the frame was written
//	crc     4 bytes  CRC-32C of the salt, the three fields above and the payload
//	payload          the entries
//
// All numbers are little-endian. The file is allocated in chunks ahead of the
// tail, so zeros follow the last frame, and a commit is one pwrite and one
// fdatasync that has no metadata to write.
//
// # After a crash
//
// What follows the last good frame is cut off when it was never known to be on
// the disk: a frame cut short by a kill or a loss of power, or later frames of
// which the disk kept only some. A bad frame that a later, good one says was
// on the disk is damage, and so is a header that can't be read.
//
// A damaged file is kept under another name, and a new one takes its place with
// all that could be read before and after the damage, and an entry that tells of
// the loss. What was written in a lost frame is missing then, and what was
// forgotten in one is back: whoever reads the entries has to ask the outside.
//
// # Versions
//
// A file of an older version is read by the reader of that version, and written
// anew at once. One of a newer version is refused, and left as it is.
//
// # Its size
//
// When most of the file is garbage it is rewritten into a new one that replaces
// it by rename; at every instant one whole file is in place.
package journal
