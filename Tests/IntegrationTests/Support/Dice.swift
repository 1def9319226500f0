import Glibc

/// A known sequence, so that a failure can be repeated: SLUICE_TEST_SEED, else a new one.
struct Dice: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    init() {
        seed =
            getenv("SLUICE_TEST_SEED").flatMap { UInt64(String(cString: $0)) }
            ?? UInt64.random(in: 0..<1_000_000)
        state = seed
    }

    // Marsaglia's xorshift64*: any generator would do.
    mutating func next() -> UInt64 {
        if state == 0 { state = 0x1234_5678 }
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }
}
