public import SystemPackage

/// How a lane ends that cannot start.
public enum LaneExit {
    /// Errors that may pass by themselves, for example when other lanes end.
    public static let shortages: Set<Errno> = [
        .resourceTemporarilyUnavailable, .noMemory, .tooManyOpenFiles, .tooManyOpenFilesInSystem,
    ]
    /// The exit status after one of these (EX_TEMPFAIL, sysexits.h).
    public static let shortage: Int32 = 75
}
