// Gives libcurl a larger receive buffer than Foundation does.
//
// Foundation sets CURLOPT_BUFFERSIZE to 16 KiB and has no setting for it, and
// each filling of that buffer costs a turn of its event loop.  Foundation
// calls the curl_easy_setopt that the linker finds first.  Where Foundation is
// linked statically, that is one in the program; where it is a library, only
// one that the program exports (Package.swift).  So this target has one.  It
// passes everything on to libcurl's as it came, apart from the value of that
// one option.
//
// Where it does not take effect all works as before, but slower: nothing else
// relies on it.  It can go when URLSession has such a setting.
#pragma once

// What libcurl gets, in bytes.  Its own limit is twice as much (7.88), which
// is no faster where a large body is written by another thread than receives
// it, and keeps that much more memory in a stalled lane.
enum { CRECEIVEBUFFER_SIZE = 256 << 10 };

// The size that Foundation asked for and that libcurl got a larger one
// instead of, in bytes; 0 where that has not happened.
long creceivebuffer_replaced(void);
