import ArgumentParser
import SluiceInterface

/// A size on the command line: `262144`, `256K`, `1M`, `2G`.
struct ByteCount: ExpressibleByArgument {
    let bytes: Int

    init?(argument: String) {
        guard let bytes = ByteSize.parse(argument) else { return nil }
        self.bytes = bytes
    }
}
