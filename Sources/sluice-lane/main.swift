internal import CCurlShim
internal import Glibc
internal import SluiceLane
internal import Unix

/// The control socket, descriptor 3, with which the daemon starts this program. The program has no other use.
func controlSocket() -> OwnedDescriptor {
    let control = OwnedDescriptor(adopting: 3)
    guard (try? PeerCredentials(of: control)) != nil else {
        print("sluice-lane is started by sluiced(8); to fetch a URL use sluicectl(1)")
        exit(64)  // EX_USAGE, sysexits(3)
    }
    return control
}

/// Checks whether Foundation calls the functions of CCurlShim, which depends on how the program is linked. For the
/// builders of packages.
func checkShim() -> Never {
    TrialRequest.make()
    let functions = [
        ("curl_easy_setopt", CCURLSHIM_EASY_SETOPT), ("curl_easy_getinfo", CCURLSHIM_EASY_GETINFO),
        ("curl_easy_cleanup", CCURLSHIM_EASY_CLEANUP), ("curl_multi_setopt", CCURLSHIM_MULTI_SETOPT),
        ("curl_multi_add_handle", CCURLSHIM_MULTI_ADD_HANDLE),
        ("curl_multi_socket_action", CCURLSHIM_MULTI_SOCKET_ACTION),
        ("curl_multi_info_read", CCURLSHIM_MULTI_INFO_READ), ("curl_url_get", CCURLSHIM_URL_GET),
    ]
    func missing() -> [String] {
        let calls = ccurlshim_calls()
        return functions.filter { calls & CUnsignedInt($0.1) == 0 }.map(\.0)
    }
    // URLSession frees a handle some time after its task has ended, and reports nothing then. The calls are therefore
    // polled for up to 5 s.
    for _ in 0..<500 where !missing().isEmpty { usleep(10_000) }
    let missing = missing()
    guard missing.isEmpty else {
        print("URLSession is not corrected: Foundation does not call \(missing.joined(separator: ", "))")
        exit(1)
    }
    print(
        "URLSession is corrected; libcurl's receive buffer has \(CCURLSHIM_BUFFER_SIZE) bytes, Foundation asked for "
            + "\(ccurlshim_replaced_buffer_size())")
    exit(0)
}

/// Exits as soon as the daemon has closed the other end of the control socket, and receives nothing from it. What the
/// daemon has sent by then are sockets that the end of a process must close (`SocketDisposal`).
func discard() -> Never {
    var control = pollfd(fd: 3, events: 0, revents: 0)
    while control.revents & Int16(POLLHUP | POLLERR | POLLNVAL) == 0 {
        guard poll(&control, 1, -1) >= 0 || errno == EINTR else { break }
    }
    _exit(0)
}

if CommandLine.arguments.dropFirst() == ["--check-shim"] {
    checkShim()
} else if CommandLine.arguments.dropFirst() == ["--discard"] {
    discard()
} else if CommandLine.arguments.dropFirst() == ["--nursery"] {
    Nursery.run(control: controlSocket())
} else {
    Lane.run(control: controlSocket())
}
