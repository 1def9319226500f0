import CFactsProbe
import CTestKit
import CUnix
import Dispatch
import Foundation
import FoundationNetworking
import Glibc
import Synchronization

/// A delegate queue that runs each callback at once, on the thread on which libcurl called.
final class InlineQueue: OperationQueue, @unchecked Sendable {
    // @unchecked: it has no state of its own.
    override func addOperation(_ block: @escaping @Sendable () -> Void) { block() }
}

/// A delegate with callbacks only. Each is reported; some follow an option.
final class ProbeDelegate: NSObject, URLSessionDataDelegate, Sendable {
    private struct Transfer {
        var received = 0
        var chunks = 0
        var largest = 0
        var mismatch: Int?
    }

    private let options: ProbeOptions
    private let transfers = Mutex<[Int: Transfer]>([:])
    private let isOpen = Mutex(false)
    private let opened = DispatchSemaphore(value: 0)

    init(_ options: ProbeOptions) { self.options = options }

    func open() {
        isOpen.withLock { $0 = true }
        opened.signal()
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        var fields = [
            ("task", "\(dataTask.taskIdentifier)"), ("length", "\(response.expectedContentLength)"),
        ]
        if let http = response as? HTTPURLResponse {
            fields.append(("status", "\(http.statusCode)"))
            fields += http.allHeaderFields.map { ("header:\("\($0.key)".lowercased())", "\($0.value)") }
        }
        report("response", fields)
        completionHandler(options.disposition == "cancel" ? .cancel : .allow)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        let task = dataTask.taskIdentifier
        let (received, isFirst) = transfers.withLock { transfers in
            var transfer = transfers[task] ?? Transfer()
            let agreeing = data.withUnsafeBytes { bytes in
                ctestkit_pattern_agreement(
                    options.seed, UInt64(transfer.received), bytes.baseAddress, bytes.count)
            }
            if agreeing < data.count, transfer.mismatch == nil {
                transfer.mismatch = transfer.received + agreeing
            }
            transfer.received += data.count
            transfer.chunks += 1
            transfer.largest = max(transfer.largest, data.count)
            transfers[task] = transfer
            return (transfer.received, transfer.chunks == 1)
        }
        if isFirst { report("data", ["task": task]) }
        if options.cancelsInCallback, isFirst {
            report("cancelling", ["task": task])
            dataTask.cancel()
            report("cancelled", ["task": task])
        }
        // The test measures a slow delegate, so the sleep is the delay itself.
        if options.slowMicroseconds > 0 { usleep(options.slowMicroseconds) }
        if let mark = options.gateAt, received >= mark, !isOpen.withLock({ $0 }) {
            report("gate", ["task": task, "received": received])
            opened.wait()
            opened.signal()
        }
    }

    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler: @escaping @Sendable (URLRequest?) -> Void
    ) {
        report(
            "redirect",
            [
                ("task", "\(task.taskIdentifier)"), ("status", "\(response.statusCode)"),
                ("url", request.url?.absoluteString ?? ""),
            ] + (request.allHTTPHeaderFields ?? [:]).map { ("header:\($0.key.lowercased())", $0.value) })
        completionHandler(options.followsRedirects ? request : nil)
    }

    func urlSession(
        _ session: URLSession, task: URLSessionTask, didReceive challenge: URLAuthenticationChallenge,
        completionHandler: @escaping @Sendable (URLSession.AuthChallengeDisposition, URLCredential?) -> Void
    ) {
        report("challenge", ["method": challenge.protectionSpace.authenticationMethod])
        switch options.challenge {
        case "default": completionHandler(.performDefaultHandling, nil)
        case "inline": completionHandler(.cancelAuthenticationChallenge, nil)
        default: DispatchQueue.global().async { completionHandler(.cancelAuthenticationChallenge, nil) }
        }
        report("challenge answered")
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        let transfer = transfers.withLock { $0[task.taskIdentifier] } ?? Transfer()
        let code = (error as NSError?)?.code ?? 0
        let fields: KeyValuePairs<String, any CustomStringConvertible> = [
            "task": task.taskIdentifier, "code": code, "received": transfer.received,
            "chunks": transfer.chunks,
            "largest": transfer.largest, "mismatch": transfer.mismatch ?? -1,
            "text": error?.localizedDescription ?? "",
        ]
        report("complete", fields)
    }
}

/// Carries out commands until the end of the input. Each runs on a thread of its own, since some never return.
func runSession(_ options: ProbeOptions) {
    let delegate = ProbeDelegate(options)
    // The text exists as long as the process.
    if let authority = options.authority { cfactsprobe_set_ca_file(strdup(authority)) }
    let makeSession = { @Sendable in
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = options.timeout
        configuration.urlCache = nil
        configuration.urlCredentialStorage = nil
        if !options.keepsCookies {
            configuration.httpCookieStorage = nil
            configuration.httpShouldSetCookies = false
        }
        let queue = options.ordinaryQueue ? OperationQueue() : InlineQueue()
        queue.maxConcurrentOperationCount = 1
        return URLSession(configuration: configuration, delegate: delegate, delegateQueue: queue)
    }
    let session = makeSession()
    let current = Mutex<URLSessionDataTask?>(nil)
    report("ready")
    while let line = readLine() {
        var words = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)[...]
        let command = words.removeFirst()
        let rest = words
        DispatchQueue(label: command).async {
            let start = ContinuousClock.now
            switch command {
            case "fetch", "fetch-elsewhere":
                guard let url = rest.first.flatMap({ URL(string: $0) }) else { return report("no url") }
                var request = URLRequest(url: url)
                for header in rest.dropFirst() {
                    let parts = header.split(separator: ":", maxSplits: 1).map(String.init)
                    // Commands are lines, so \u{1} stands for a line break that is followed by another header.
                    let value = (parts.count > 1 ? parts[1] : "").replacingOccurrences(
                        of: "\u{1}", with: "\r\nX-Evil: ")
                    request.setValue(value, forHTTPHeaderField: parts[0])
                }
                let task = (command == "fetch" ? session : makeSession()).dataTask(with: request)
                current.withLock { $0 = task }
                task.resume()
            case "open": delegate.open()
            case "cancel": current.withLock { $0 }?.cancel()
            case "suspend": current.withLock { $0 }?.suspend()
            case "resume": current.withLock { $0 }?.resume()
            case "shutdown": report("shut", ["sockets": shutDownInternetSockets()])
            case "idle": session.getAllTasks { _ in report("idle") }
            default: report("unknown command", ["command": command])
            }
            let milliseconds = start.duration(to: .now) / .milliseconds(1)
            report("done", ["command": command, "milliseconds": Int(milliseconds)])
        }
    }
    exit(0)
}

/// Ends the session's transfers through their sockets, without a call of the session.
private func shutDownInternetSockets() -> Int {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    return names.compactMap { CInt($0) }.filter { descriptor in
        let domain = cunix_socket_domain(descriptor)
        guard domain == AF_INET || domain == AF_INET6 else { return false }
        return shutdown(descriptor, CInt(SHUT_RDWR)) == 0
    }.count
}
