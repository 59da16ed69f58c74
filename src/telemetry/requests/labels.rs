//! Values of metric labels and log fields that describe a request.

use crate::domain::text_enum::text_enum;

text_enum! {
    /// Transport of a response.
    pub enum Transport {
        /// A single HTTP response.
        Http = "http",
        /// Server-sent events.
        Sse = "sse",
        /// `multipart/mixed`.
        Multipart = "multipart",
        /// WebSocket messages.
        WebSocket = "websocket",
    }
    /// Returns the value in metrics and in the log.
    pub fn word;
}

text_enum! {
    /// Outcome of a request.
    pub enum Outcome {
        /// A response without errors.
        Ok = "ok",
        /// Executed, with errors in the response.
        Partial = "partial",
        /// Refused before execution.
        Refused = "refused",
        /// The server was overloaded.
        Overloaded = "overloaded",
        /// An internal error.
        Crashed = "crashed",
        /// The client disconnected before the response.
        HungUp = "hung_up",
        /// Still running at the end of the shutdown.
        CutOff = "cut_off",
    }
    /// Returns the value in metrics and in the log.
    pub fn word;
}

text_enum! {
    /// Origin of a response.
    pub enum ResponseSource {
        /// Executed for this request.
        Executed = "executed",
        /// Shared with an identical request in flight.
        Joined = "joined",
        /// Read from the response cache.
        Cached = "cached",
    }
    /// Returns the value in metrics and in the log.
    pub fn word;
}

text_enum! {
    /// Route of the public listener.
    pub enum Route {
        /// The GraphQL endpoint.
        Graphql = "graphql",
        /// Composio's webhook.
        Webhook = "webhook",
        /// GraphiQL, the example, and their assets.
        Page = "page",
        /// Any other path; most do not exist.
        Other = "other",
    }
    /// Returns the value in metrics and in the log.
    pub fn word;
}
