import Testing

@testable import Varlink

/// A connection with what `UserTurns` and `UserBudget` need to know of it.
private final class Member: UserConnection {
    let userID: UInt32
    let place: UInt64

    init(_ userID: UInt32, place: UInt64 = 0) {
        self.userID = userID
        self.place = place
    }
}

@Suite("The time that connections have in a turn of the loop") struct TurnTimeTests {
    private func turnsUntilAllowed(_ time: inout TurnTime) -> Int {
        for turn in 1... {
            time.begin()
            if time.allows(after: .zero) { return turn }
            time.end(after: .zero, isLineEmpty: false)
        }
        return .max
    }

    @Test("is reduced in the turns after a long step, within bounds, and not if no other connection waits")
    func longStepShortensNextTurns() {
        var time = TurnTime()
        time.begin()
        #expect(time.allows(after: .milliseconds(1)) && !time.allows(after: .milliseconds(2)))
        time.end(after: .milliseconds(10), isLineEmpty: false)
        #expect(turnsUntilAllowed(&time) == 5)
        // The machine has slept.
        time.end(after: .seconds(3600), isLineEmpty: false)
        #expect(turnsUntilAllowed(&time) == 26)
        time.end(after: .seconds(3600), isLineEmpty: true)
        #expect(turnsUntilAllowed(&time) == 1)
    }

    @Test("is not saved up")
    func isNotSavedUp() {
        var time = TurnTime()
        for _ in 0..<10 {
            time.begin()
            time.end(after: .zero, isLineEmpty: false)
        }
        time.begin()
        #expect(!time.allows(after: .milliseconds(2)))
    }
}

@Suite("A user's connections") struct UserLineTests {
    @Test("take turns with those of each other user, however many there are")
    func alternateWithOtherUsers() {
        var turns = UserTurns<Member>()
        for place in 1...1000 { turns.append(Member(1, place: UInt64(place))) }
        turns.append(Member(2))
        turns.append(Member(3))
        var order = (1...4).compactMap { _ in turns.next()?.userID }
        #expect(order == [1, 2, 3, 1])
        turns.append(Member(2))
        order = (1...3).compactMap { _ in turns.next()?.userID }
        #expect(order == [1, 2, 1])
        var last: Member?
        while let next = turns.next() { last = next }
        #expect(last?.place == 1000)
        #expect(turns.isEmpty)
    }

    @Test("wait for room in the order of their calls, and each may stop waiting")
    func waitInOrderOfCalls() {
        var budget = UserBudget<Member>(limit: 10, total: .max, keepsOrder: true)
        budget.change(1, by: 10)
        let members = (0..<40).map { Member(1, place: UInt64($0)) }
        let order = members.indices.map { ($0 * 7) % 40 }
        let areFirst = order.map { budget.wait(members[$0]) }
        #expect(areFirst == order.map { $0 == order[0] })
        let waitsAgain = budget.wait(members[3])
        #expect(!waitsAgain)
        budget.forget(members[0])
        budget.forget(members[0])
        var ready = budget.takeReady()
        #expect(ready.isEmpty)
        budget.change(1, by: -10)
        ready = budget.takeReady()
        #expect(ready.map(\.place) == Array(1...16))
        // For the second user, another connection came before.
        let areAdmitted = [2, 1, 2].map { budget.admits(members[$0]) }
        #expect(areAdmitted == [false, true, true])
        ready = budget.takeReady()
        #expect(ready.first?.place == 3)
    }

    @Test("or wait in the order in which they began to wait, and are notified once")
    func waitInOrderOfArrival() {
        var budget = UserBudget<Member>(limit: 10, total: .max)
        budget.change(1, by: 10)
        let members = (0..<3).map { Member(1, place: UInt64(10 - $0)) }
        for member in members { _ = budget.wait(member) }
        budget.forget(members[1])
        budget.change(1, by: -1)
        let ready = budget.takeReady()
        #expect(ready.map(\.place) == [10, 8])
        #expect(!budget.isAwaited())
    }

    @Test("have no room past their user's limit, nor past the total once their user's share is used")
    func roomDependsOnBudgets() {
        var budget = UserBudget<Member>(limit: 1 << 20, total: 1 << 20)
        budget.change(1, by: 1 << 20)
        #expect([1, 2].map(budget.hasRoom) == [false, true])
        budget.change(2, by: UserBudget<Member>.share)
        #expect(!budget.hasRoom(2))
        budget.change(1, by: -(1 << 20))
        #expect(budget.sum == UserBudget<Member>.share)
        #expect(budget.hasRoom(2))
    }

    @Test("can leave by the thousand, from anywhere in the line")
    func manyLeaveTheLine() {
        var budget = UserBudget<Member>(limit: 0, total: .max)
        let members = (0..<5000).map { _ in Member(1) }
        for member in members { _ = budget.wait(member) }
        for index in members.indices { budget.forget(members[(index + 2500) % members.count]) }
        #expect(!budget.isAwaited())
    }
}
