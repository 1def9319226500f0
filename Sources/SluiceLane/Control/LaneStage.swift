/// How far a lane's job is. Two things end independently: the account is closed, after which nothing more is written,
/// and URLSession finishes its task. The job is over when both have happened.
///
/// A value without I/O. `Timer` and `Result` are what the owner keeps for a stage.
enum LaneStage<Timer, Result> {
    /// URLSession works, and the account is open.
    case transferring
    /// URLSession has finished. Bytes are still to be delivered; then the job will have this result.
    case delivering(Result)
    /// The account is closed. The rest of the response is dropped, or the connections are shut down until URLSession
    /// notices; the timer is for either.
    case releasing(Timer?)
    /// Nothing of this process uses the job any more.
    case over

    /// Whether nothing more may be written.
    var accountIsClosed: Bool {
        switch self {
        case .transferring, .delivering: false
        case .releasing, .over: true
        }
    }

    /// Whether URLSession has finished.
    var sessionIsDone: Bool {
        switch self {
        case .transferring, .releasing: false
        case .delivering, .over: true
        }
    }

    /// The result that is known as soon as URLSession has finished.
    var result: Result? { if case .delivering(let result) = self { result } else { nil } }

    /// The account has been closed.
    ///
    /// - Returns: false if it was closed before.
    mutating func accountCloses() -> Bool {
        switch self {
        case .transferring: self = .releasing(nil)
        case .delivering: self = .over
        case .releasing, .over: return false
        }
        return true
    }

    /// URLSession has finished while the account is open: the job will have this result.
    ///
    /// - Returns: false if the account is closed, or it had finished before.
    mutating func sessionFinishes(with result: Result) -> Bool {
        guard case .transferring = self else { return false }
        self = .delivering(result)
        return true
    }

    /// URLSession has finished after the account was closed.
    ///
    /// - Returns: the timer that is no longer needed.
    mutating func sessionReleases() -> Timer? {
        guard case .releasing(let timer) = self else { return nil }
        self = .over
        return timer
    }

    /// Keeps a timer while URLSession is being made to finish.
    ///
    /// - Returns: the timer that is not kept any more: the last one, or the new one where none is needed.
    mutating func keep(_ timer: Timer) -> Timer? {
        guard case .releasing(let last) = self else { return timer }
        self = .releasing(timer)
        return last
    }
}
