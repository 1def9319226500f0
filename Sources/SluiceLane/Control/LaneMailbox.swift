internal import EventLoop
internal import SluiceCore

/// Carries events of one job from any thread to the loop's thread.
final class LaneMailbox: Sendable {
    enum Event: Sendable {
        case pump(PumpEvent)
        case transfer(Transfer.Event)
        /// The session's thread is alive: the answer to the question with this number.
        case isAlive(Int)
    }

    private let loop: EventLoop
    private let serial: Int
    // The controller is used on the loop's thread only. Other threads hold this reference, but only the block in
    // `post`, which runs on that thread, uses it.
    private nonisolated(unsafe) let controller: LaneController

    init(loop: EventLoop, controller: LaneController, serial: Int) {
        self.loop = loop
        self.serial = serial
        self.controller = controller
    }

    func post(_ event: Event) {
        loop.execute { [self] in controller.handle(event, serial: serial) }
    }
}
