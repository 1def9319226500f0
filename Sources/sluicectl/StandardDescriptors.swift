import Glibc

/// Descriptors 0, 1 and 2, which a careless parent may have closed.
enum StandardDescriptors {
    /// Puts something harmless where there is nothing, so that no socket or pipe of ours gets one of these numbers
    /// and a body written to it. For the outputs it is something that cannot be written, so that nobody is told that
    /// a body went where it did not.
    static func fill() {
        for number: CInt in 0...2 where lseek(number, 0, SEEK_CUR) < 0 && errno == EBADF {
            // The lowest number that is free, and that is this one.
            _ = open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY)
        }
    }
}
