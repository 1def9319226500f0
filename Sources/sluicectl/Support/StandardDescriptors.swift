import Glibc

/// Descriptors 0, 1 and 2, which a careless parent may have closed.
enum StandardDescriptors {
    /// Opens /dev/null in place of each of these that is closed. Otherwise a socket or a pipe of this program could
    /// get one of these numbers, and a body could be written to it. Descriptors 1 and 2 are opened for reading only:
    /// a body that cannot be written must be an error.
    static func fill() {
        for number: CInt in 0...2 where lseek(number, 0, SEEK_CUR) < 0 && errno == EBADF {
            // open(2) returns the lowest number that is free, which is this one.
            _ = open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY)
        }
    }
}
