/// How bytes a second are shared out among transfers that are under several limits at a time: those of a user, of an
/// origin, of the service.
///
/// Weighted max-min fairness by progressive filling (Bertsekas and Gallager, Data Networks, §6.5.2): all shares grow
/// together, in the proportion of the weights, until a limit is reached; those under it stay as they are, and the others go
/// on growing. Transfers that want less than their share leave the rest to the others.
public enum RatePlan {
    /// One transfer.
    public struct Transfer: Sendable, Equatable {
        /// Its part in the proportion, above 0.
        public var weight: Double
        /// What it is known to want, in bytes a second; nil for all that it can get.
        public var demand: Double?
        /// Which limits it is under.
        public var limits: [Int]

        /// A transfer.
        public init(weight: Double, demand: Double? = nil, limits: [Int]) {
            self.weight = weight
            self.demand = demand
            self.limits = limits
        }
    }

    /// The shares, in bytes a second.
    ///
    /// No limit is exceeded. What nobody wants is shared out, too, so that whoever comes to want more need not ask first.
    ///
    /// - Parameter limits: in bytes a second, above 0.
    /// - Returns: one for each transfer; infinity for one that is under no limit.
    public static func shares(of transfers: [Transfer], limits: [Double]) -> [Double] {
        var filling = Filling(transfers, limits)
        filling.fill { transfers[$0].demand ?? .infinity }
        filling.fill { _ in .infinity }
        return filling.shares
    }

    private struct Filling {
        private let transfers: [Transfer]
        private let limits: [Double]
        private var left: [Double]
        private(set) var shares: [Double]

        init(_ transfers: [Transfer], _ limits: [Double]) {
            self.transfers = transfers
            self.limits = limits
            left = limits
            shares = Array(repeating: 0, count: transfers.count)
        }

        /// Lets all shares grow until each has reached what it may have, or a limit.
        mutating func fill(upTo most: (Int) -> Double) {
            var growing = transfers.indices.filter { shares[$0] < most($0) && !isAtLimit($0) }
            while !growing.isEmpty {
                var weights = Array(repeating: 0.0, count: limits.count)
                for index in growing {
                    for limit in transfers[index].limits { weights[limit] += transfers[index].weight }
                }
                var step = Double.infinity
                for (limit, weight) in weights.enumerated() where weight > 0 {
                    step = min(step, left[limit] / weight)
                }
                for index in growing {
                    step = min(step, (most(index) - shares[index]) / transfers[index].weight)
                }
                guard step.isFinite else {
                    for index in growing { shares[index] = .infinity }
                    return
                }
                for index in growing { shares[index] += step * transfers[index].weight }
                for (limit, weight) in weights.enumerated() { left[limit] -= step * weight }
                growing.removeAll { isAlmost(shares[$0], most($0)) || isAtLimit($0) }
            }
        }

        /// Sums of parts of a number are not exactly the number.
        private func isAlmost(_ value: Double, _ bound: Double) -> Bool {
            bound.isFinite && value >= bound * (1 - 1e-9)
        }

        private func isAtLimit(_ index: Int) -> Bool {
            transfers[index].limits.contains { left[$0] <= limits[$0] * 1e-9 }
        }
    }
}
