extension Pump {
    /// What the loop's thread has to know.
    enum Event: Sendable {
        /// Enough of a large body has been gathered for a large write: `pushGathered` writes it.
        case gathered
        /// Bytes wait and the loop's thread does not know it yet: begin to tick.
        case startTicking
        /// The consumer takes bytes again, after a stall was reported.
        case flowing
        /// The consumer's end is closed, or the write failed: nothing more will be written.
        case consumerGone
        /// The gate has been closed, or the consumer has taken nothing, for as long as the order says.
        case held
        /// Neither is so any more, after `held`.
        case released
        /// The consumer takes bytes so fast that larger pipes would serve it.
        case keepsUp
        /// The body is larger than the job allows; what was allowed has been delivered or waits.
        case tooLarge
        /// Everything has been passed on after the origin had ended: the account is closed.
        case drained
    }

    /// What the loop's thread does next, after a tick.
    struct Tick: Sendable {
        /// When to look again.
        enum Next: Sendable {
            /// Nothing waits: not before `startTicking`.
            case never
            /// After so many milliseconds.
            case after(milliseconds: Int)
            /// Nothing has moved for a while although bytes wait: say so, and not before `flowing`. Ask `checkHold`
            /// after so many milliseconds.
            case stalled(holdAfter: Int?)
        }
        var next: Next
        /// Watch for room in the consumer's pipe: nobody else does.
        var wantsRoom: Bool
    }
}
