//! Values of metric labels and log fields that describe a request.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All variants.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the value in metrics and in the log.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

words! {
    /// Transport of a response.
    Transport {
        /// A single HTTP response.
        Http = "http",
        /// Server-sent events.
        Sse = "sse",
        /// `multipart/mixed`.
        Multipart = "multipart",
        /// WebSocket messages.
        WebSocket = "websocket",
    }
}

words! {
    /// Outcome of a request.
    Outcome {
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
}

words! {
    /// Origin of a response.
    ResponseSource {
        /// Executed for this request.
        Executed = "executed",
        /// Shared with an identical request in flight.
        Joined = "joined",
        /// Read from the response cache.
        Cached = "cached",
    }
}

words! {
    /// Route of the public listener.
    Route {
        /// The GraphQL endpoint.
        Graphql = "graphql",
        /// Composio's webhook.
        Webhook = "webhook",
        /// GraphiQL, the example, and their assets.
        Page = "page",
        /// Any other path; most do not exist.
        Other = "other",
    }
}
