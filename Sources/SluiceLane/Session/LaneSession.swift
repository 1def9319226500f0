internal import Foundation
internal import FoundationNetworking
internal import SluiceCore
internal import Synchronization

/// The lane's one URLSession and its delegate, which holds callbacks and nothing else.
///
/// ## Concurrency model
/// The delegate's callbacks come on the session's thread. The lane's thread sets `current` before a task begins;
/// callbacks of any other task are stale and dropped.
final class LaneSession: NSObject, URLSessionDataDelegate, Sendable {
    private struct Current {
        var task: URLSessionDataTask
        var transfer: Transfer
    }

    /// More seconds than Dispatch's clock can hold (292 years). Foundation makes a new timer for each chunk. A timer
    /// that can never fire is not armed, which saves more system calls than everything else about a chunk takes.
    private static let never: TimeInterval = 10_000_000_000

    private let current = Mutex<Current?>(nil)
    private let session = Mutex<URLSession?>(nil)
    private let queueYield = Mutex(QueueYield())

    /// Made once, also for the lanes that a nursery forks: to make it takes several milliseconds.
    private static let configuration = {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.httpCookieStorage = nil
        configuration.httpShouldSetCookies = false
        // Without this setting, Foundation searches every field of every response for cookies, although there is no
        // storage for them.
        configuration.httpCookieAcceptPolicy = .never
        configuration.urlCache = nil
        configuration.urlCredentialStorage = nil
        configuration.requestCachePolicy = .reloadIgnoringLocalAndRemoteCacheData
        // The lane has timers of its own, which take the gate into account; Foundation's timers do not.
        configuration.timeoutIntervalForRequest = never
        configuration.timeoutIntervalForResource = never
        return configuration
    }()

    private static let queue = InlineOperationQueue()

    /// Makes what all sessions have in common, and what Foundation makes once in a process. Starts no thread.
    static func warm() {
        _ = configuration
        _ = queue
        // Of each name in a head.
        _ = "A".lowercased(with: Locale.current)
        // Swift searches all conformances of the program the first time that it is asked for one: whether a socket's
        // number is the key of a dictionary, what a delegate is, what the fields of a head are.
        let fields: Any = ["A": "b"] as [AnyHashable: Any]
        let answers = looks(LaneSession.self) + [fields is [String: String]]
        warmed.withLock { for (number, answer) in answers.enumerated() { $0[Int32(number)] = answer } }
    }

    /// Only kept so that the compiler does not leave the questions out.
    private static let warmed = Mutex<[Int32: Bool]>([:])

    /// What Foundation asks about a delegate.
    @inline(never)
    private static func looks(_ delegate: Any.Type) -> [Bool] {
        [
            delegate is any URLSessionTaskDelegate.Type, delegate is any URLSessionDataDelegate.Type,
            delegate is any URLSessionDownloadDelegate.Type, delegate is any URLSessionWebSocketDelegate.Type,
        ]
    }

    override init() {
        super.init()
        let session = URLSession(
            configuration: Self.configuration, delegate: self, delegateQueue: Self.queue)
        self.session.withLock { $0 = session }
        RequestProgress.whenConnected { [weak self] in self?.current.withLock { $0?.transfer }?.connected() }
    }

    /// Begins a transfer. Call it only after the previous transfer has completed; otherwise it may wait for that.
    ///
    /// A kept connection on which bytes have arrived since then is not used again, because they are not an answer to
    /// this request.
    func begin(_ transfer: Transfer, _ request: URLRequest) {
        guard let session = session.withLock({ $0 }) else { return }
        // libcurl would use a kept HTTP/2 connection again, which this request must not use.
        if transfer.http1Only { InetSockets.shutDownAll() } else { InetSockets.dropUnusable() }
        let task = session.dataTask(with: request)
        current.withLock { $0 = Current(task: task, transfer: transfer) }
        task.resume()
    }

    /// Runs `work` on the session's queue when its turn comes (`SessionQueue`).
    func whenIdle(_ work: @escaping @Sendable () -> Void) {
        session.withLock { $0 }?.getAllTasks { _ in work() }
    }

    /// Releases the last transfer, and so its descriptors.
    func forget() {
        current.withLock { $0 = nil }
    }

    private func transfer(of task: URLSessionTask) -> Transfer? {
        current.withLock { current in
            current?.task.taskIdentifier == task.taskIdentifier ? current?.transfer : nil
        }
    }

    // MARK: URLSessionDataDelegate

    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
    ) {
        // The lane makes a request of its own, once this task is over (docs/foundation.md, "Redirects").
        transfer(of: task)?.receive(head: response)
        completionHandler(nil)
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        transfer(of: dataTask)?.receive(head: response)
        completionHandler(.allow)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        transfer(of: dataTask)?.receive(chunk: data)
        queueYield.withLock { $0.countChunk(of: session) }
    }

    func urlSession(
        _ session: URLSession, task: URLSessionTask, didReceive challenge: URLAuthenticationChallenge,
        completionHandler: @escaping @Sendable (URLSession.AuthChallengeDisposition, URLCredential?) -> Void
    ) {
        // Calling the handler within this callback would deadlock the session's queue (FactsTests, F11).
        DispatchQueue.global().async { completionHandler(.cancelAuthenticationChallenge, nil) }
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        transfer(of: task)?.completed(error: error)
    }
}
