/// Shares out bytes a second among transfers that are under several limits at a time: those of a user, of an origin and
/// of the service.
///
/// Weighted max-min fairness by progressive filling (Bertsekas and Gallager, Data Networks, §6.5.2): all shares grow
/// together, in proportion to the weights, until a limit is reached. The shares under that limit stay as they are, and
/// the others go on growing. Transfers that want less than their share leave the rest to the others.
public enum RatePlan {
    /// One transfer.
    public struct Transfer: Sendable, Equatable {
        /// The transfer's weight, above 0.
        public var weight: Double
        /// The rate that the transfer is known to want, in bytes a second; nil if it takes all that it can get.
        public var demand: Double?
        /// Indexes of the limits that apply to the transfer.
        public var limits: [Int]

        /// Creates a transfer.
        public init(weight: Double, demand: Double? = nil, limits: [Int]) {
            self.weight = weight
            self.demand = demand
            self.limits = limits
        }
    }

    /// The shares, in bytes a second.
    ///
    /// No limit is exceeded. Capacity that no transfer wants is also shared out, so that a transfer whose demand rises
    /// can use it at once.
    ///
    /// - Parameters:
    ///   - transfers: what each transfer wants, and which limits hold for it.
    ///   - limits: in bytes a second, above 0.
    /// - Returns: a share for each transfer; infinity for a transfer without limits.
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

        /// Lets all shares grow until each has reached its own maximum or a limit.
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

        /// Compares with a tolerance, because floating-point sums of the parts of a number are not exactly the number.
        private func isAlmost(_ value: Double, _ bound: Double) -> Bool {
            bound.isFinite && value >= bound * (1 - 1e-9)
        }

        private func isAtLimit(_ index: Int) -> Bool {
            transfers[index].limits.contains { left[$0] <= limits[$0] * 1e-9 }
        }
    }
}
