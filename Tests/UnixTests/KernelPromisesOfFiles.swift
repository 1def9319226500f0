import CTestKit
import CUnix
import Glibc
import TestKit
import Testing
import Unix

/// What the design expects of memory files and locks.
@Suite("The kernel's promises about memory files and locks", .withoutForks)
struct KernelPromisesOfFiles {
    @Test("a sealed memory file neither shrinks nor grows, and can still be written")
    func sealedFileKeepsItsSize() throws {
        let file = OwnedDescriptor(adopting: try valueOrErrno(cunix_memfd("test")))
        #expect(ftruncate(file.rawValue, 8192) == 0)
        #expect(!cunix_size_is_sealed(file.rawValue))
        #expect(cunix_seal_size(file.rawValue) == 0)
        #expect(cunix_size_is_sealed(file.rawValue))
        #expect(ftruncate(file.rawValue, 4096) == -1 && errno == EPERM)
        #expect(ftruncate(file.rawValue, 16384) == -1 && errno == EPERM)
        #expect(pwrite(file.rawValue, "x", 1, 8192) == -1 && errno == EPERM)
        #expect(pwrite(file.rawValue, "x", 1, 0) == 1)
        // F_SEAL_SEAL: nothing can be added to the seals either.
        #expect(cunix_seal_size(file.rawValue) == -1 && errno == EPERM)
    }

    @Test("a descriptor that is not a memory file has no seals, so it is not taken for a ledger")
    func otherDescriptorsHaveNoSeals() throws {
        let directory = try TemporaryDirectory()
        try directory.write("x", to: "file")
        let file = OwnedDescriptor(
            adopting: try valueOrErrno(open(directory.file("file"), O_RDWR | O_CLOEXEC)))
        #expect(!cunix_size_is_sealed(file.rawValue))
        #expect(!cunix_size_is_sealed(try Pipe().readEnd.rawValue))
    }

    @Test("another process's fcntl lock on a memory file is visible to F_GETLK, and ends with that process")
    func lockEndsWithItsProcess() throws {
        let file = OwnedDescriptor(adopting: try valueOrErrno(cunix_memfd("ledger")))
        #expect(ctestkit_lock_holder(file.rawValue) == 0)
        let holder = try Program(Products.path("facts-probe"), ["lock"], control: file.rawValue)
        #expect(try holder.line() == "locked")
        #expect(ctestkit_lock_holder(file.rawValue) == holder.processID)
        #expect(ctestkit_lock_whole(file.rawValue) == -1 && (errno == EAGAIN || errno == EACCES))
        holder.kill()
        #expect(ctestkit_lock_holder(file.rawValue) == 0)
    }
}
