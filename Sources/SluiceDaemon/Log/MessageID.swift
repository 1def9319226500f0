/// The kinds of entries in the journal, told apart by MESSAGE_ID (`journalctl MESSAGE_ID=…`).
///
/// The IDs are random and never change; a new kind gets a new one (`systemd-id128 new`). `systemd/sluice.catalog`
/// explains each to the administrator (`journalctl -x`). A test checks that the catalog has an entry for each.
public enum MessageID: String, Sendable, CaseIterable {
    /// The service answers; the first lanes are warm.
    case serviceReady = "ff952162326e4560a63c5ff7db058f9f"
    /// The service is stopping.
    case serviceStopping = "f563d0729634419f8d7fc1fb2933eea8"
    /// New jobs are refused, because an administrator drains the service.
    case serviceDraining = "94b492d7086a4240a3eda3bd81f0b405"
    /// New jobs are accepted again.
    case serviceUndrained = "ff226ed1b2b4406e8b633b9ae68d88c6"
    /// The settings were read again and are in force.
    case settingsReloaded = "77554694895844a18c779839483a1cf5"
    /// The settings were read again and rejected; the old ones stay in force.
    case settingsRejected = "4c84f69332b140098ac66de30ce16fb7"
    /// Some of the new settings take effect only at a restart.
    case settingsNeedRestart = "1cc303e3a9e04b96b08f80b005f0e067"
    /// A client's job was accepted and waits for a lane.
    case jobQueued = "6b132244e64a4ee0bc58cb90a3b8f0d3"
    /// A lane has the job and asks the origin.
    case jobStarted = "00631e320ad540a28aad77b94d5ff366"
    /// The consumer does not read: the gate is closed.
    case jobStalled = "fb5c1b8a8aa348b4b7a53ddbea1a8be7"
    /// The consumer reads again.
    case jobResumed = "0b3a7f606d9a4edf8251fd1adb871bb8"
    /// An attempt failed, and another follows.
    case attemptFailed = "a90e84901b074d9fb9243bcde065aeb6"
    /// The consumer has not read for a long time, so the job has given up its lane and its connection.
    case jobParked = "b6db5948a665481fbef0918248fcd99a"
    /// A job of an earlier process of the service goes on.
    case jobRestored = "21b5b098f2db49cabf11cf17598e48f4"
    /// Something in the service manager's store is damaged or does not belong to the service.
    case restoreFailed = "a1b4936c0b694f0080541007a75da970"
    /// The service is restarted: its jobs wait in the service manager's store.
    case jobsHandedOver = "36bb1b33a62748e4bad31c85569a1b6f"
    /// Outcomes cannot be kept in the state directory.
    case outcomesNotKept = "273eac49c1c045cd99c2c87a2778fc0e"
    /// Outcomes are kept again.
    case outcomesKeptAgain = "c405796633b34ea09390bf97792a797f"
    /// Some of the outcomes that were kept cannot be read.
    case outcomesUnreadable = "79c63844cfdf4fffb8cb04b8ad417831"
    /// A running job is not, or no longer, kept for a restart.
    case storeFailed = "169a1765a5744d329a0494ef1ef20024"
    /// The whole body is in the consumer's pipe.
    case jobComplete = "894f86ea86764a479581864417286e76"
    /// The job ended without its body.
    case jobFailed = "009925b9de8448bca856221dd919fb27"
    /// The job was cancelled.
    case jobCancelled = "2fcf9432b09d41829794ee0807216b08"
    /// A lane process was started and is ready.
    case laneStarted = "e89c38915096453d903a527b42379581"
    /// A lane process ended without being asked to.
    case laneDied = "4a6dc916b468410fa9f63e49839e59a2"
    /// A lane process wrote to its standard error.
    case laneSays = "6e3b5e29b4f2420283134c5e2937d0ed"
    /// The kernel lacks some of the means by which lanes confine themselves.
    case lanesLessConfined = "dc0891c700234c598029d15ae869ac0a"
    /// A lane process could not be started, or ended before it was ready.
    case laneCannotStart = "781e6d1623164669b2811714df106081"
    /// The process that forks lanes could not be started, has ended, or was killed.
    case nurseryFailed = "2de05521a55749afa3ffb5518fbd3349"
    /// No lane can be started.
    case lanesUnavailable = "8fbd4401772342be976be67c2d4fb90d"
    /// A lane did not end its transfer in time and was killed.
    case laneReplaced = "8877cd8963104a5684366695d335f3e4"
    /// A lane did not answer the service and was killed.
    case laneHangs = "dd780f659c8e47c78e5bc634456505c7"
    /// A client was refused, or its connection was closed.
    case clientRefused = "2c5674d23bd148fdaa7cad1d68ee4708"
    /// A method of the interface failed with an error that it does not define, because of a fault in the service.
    case methodFailed = "040bdb6de246452bbc2fb47caf3dcf32"
    /// Connections cannot be accepted.
    case acceptFailed = "7e419815877e42cf9f0b1a42a3179c36"
    /// Log messages were dropped, because journald or a limit had no room for them.
    case messagesDropped = "e9cf8222af65497d87f0e5c7ff5205b7"
    /// New pipes stay small, because the budget for pipe buffers is used up.
    case pipeBudgetLow = "4a3b092de2bf4d81af1fd0555dae1b1a"
    /// The limit on open files is too small for what the settings allow.
    case descriptorsShort = "cf89d597bba94cf08ce01f458a71ac00"
    /// A job asked for an address that the egress rules deny.
    case addressDenied = "39c516581a6f42e98bf69da78ce8bc1e"
    /// A user or group is unknown: the user directory does not answer, or does not know a name in the settings.
    case userUnknown = "df5ef76271f9445aae72d22abd42c2c8"
    /// The service cannot listen on its socket.
    case listenFailed = "999f0a33f3bd4db980e5f5b57ba88e44"
    /// The service cannot start, or cannot go on.
    case serviceFailed = "c716a985ba8d4d0fb47207a230801e4a"
}
