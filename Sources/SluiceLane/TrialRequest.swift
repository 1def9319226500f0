internal import Foundation
internal import FoundationNetworking

/// A request that nobody wants answered, to see what URLSession does on its way there.
public enum TrialRequest {
    /// Nobody listens there; if somebody does, it is as good.
    private static let url = "http://127.0.0.1:1/"

    /// Makes the request and waits until it has failed, which takes a moment.
    public static func make() {
        guard let url = URL(string: url) else { return }
        let session = URLSession(configuration: .ephemeral)
        let isOver = DispatchSemaphore(value: 0)
        session.dataTask(with: url) { _, _, _ in isOver.signal() }.resume()
        isOver.wait()
    }
}
