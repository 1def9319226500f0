extension Pump {
    /// An event for the loop's thread.
    enum Event: Sendable {
        /// Enough bytes of a large body have been gathered for a large write: call `pushGathered`.
        case gathered
        /// Bytes wait, and there are no ticks yet: begin to tick.
        case startTicking
        /// The consumer takes bytes again, after a stall was reported.
        case flowing
        /// The consumer's end is closed, or the write failed: nothing more will be written.
        case consumerGone
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
    struct Tick: Sendable {
        /// When to look again.
        enum Next: Sendable {
            /// Nothing waits: do not look before `startTicking`.
            case never
            /// Look again after this time.
            case after(milliseconds: Int)
            /// Nothing has moved for a while although bytes wait: report a stall, and do not look before `flowing`.
            /// Call `checkHold` after `holdAfter` milliseconds; not at all if it is nil.
            case stalled(holdAfter: Int?)
        }
        var next: Next
        /// True if the loop's thread must watch for room in the consumer's pipe, because the session's thread does not.
        var wantsRoom: Bool
    }
}
