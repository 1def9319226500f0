/// An event of a pump, for the thread of the lane's loop.
public enum PumpEvent: Sendable, Equatable {
    /// Enough bytes of a large body have been gathered for a large write: they are for the loop's thread to write.
    case gathered
    /// Bytes wait, and there are no ticks yet: begin to tick.
    case startTicking
    /// The consumer takes bytes again, after a stall was reported.
    case flowing
    /// The consumer's end is closed or unusable: nothing more will be written.
    case consumerGone
    /// The staging pipe takes nothing: nothing more will be written.
    case stagingFailed
    /// The gate has been closed, or the consumer has taken nothing, for as long as the order says.
    case held
    /// After `held`, neither is true any more.
    case released
    /// The consumer takes bytes so fast that larger pipes would help it.
    case keepsUp
    /// The body is larger than the job allows; the allowed bytes have been delivered or wait.
    case tooLarge
    /// Everything has been passed on after the origin had ended: the account is closed.
    case drained
}

/// What the loop's thread must do after a tick.
public struct PumpTick: Sendable, Equatable {
    /// When to look again.
    public enum Next: Sendable, Equatable {
        /// Nothing waits: do not look before `PumpEvent.startTicking`.
        case never
        /// Look again after this time.
        case after(milliseconds: Int)
        /// Nothing has moved for a while although bytes wait: report a stall, and do not look before
        /// `PumpEvent.flowing`. Check for a hold after `holdAfter` milliseconds; not at all if it is nil.
        case stalled(holdAfter: Int?)
    }
    /// When to look again.
    public var next: Next
    /// True if the loop's thread must watch for room in the consumer's pipe, because the session's thread does not.
    public var wantsRoom: Bool

    /// Creates the result of a tick.
    public init(next: Next, wantsRoom: Bool) {
        self.next = next
        self.wantsRoom = wantsRoom
    }
}

/// What an origin has sent in the time in which it could send.
public struct OriginPace: Sendable, Equatable {
    /// How long the origin could send since the pump was made, in ns.
    public var openTime: UInt64
    /// Bytes that have come so far, including those that the consumer had before.
    public var received: Int
    /// True if the origin cannot send now: the gate is closed, or the rate makes the session wait.
    public var isHeldBack: Bool

    /// Creates what an origin has sent.
    public init(openTime: UInt64, received: Int, isHeldBack: Bool) {
        self.openTime = openTime
        self.received = received
        self.isHeldBack = isHeldBack
    }
}
