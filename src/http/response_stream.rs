//! An operation as a stream of responses, the same for all transports and for queries as well as subscriptions.

use futures_util::stream::{self, Stream, StreamExt as _};

use crate::operation::subscription::{OperationOutput, Subscription};
use crate::operation::{OperationResponse, Outcome};
use crate::telemetry::requests::Transport;

/// One event of an operation.
#[derive(Debug)]
pub(crate) enum ResponseEvent {
    /// A response and, for subscriptions, the position after it.
    Next(OperationResponse, Option<String>),
    /// Errors only: the operation did not start or cannot continue. No event follows.
    Failed(OperationResponse),
}

/// Returns the events of an operation.
pub(crate) fn response_events(
    opened: OperationOutput,
    transport: Transport,
) -> impl Stream<Item = ResponseEvent> + Send + 'static {
    match opened {
        OperationOutput::Response(response) => stream::iter([single_event(response)]).left_stream(),
        OperationOutput::Subscription(subscription) => {
            subscription_events(*subscription, transport).right_stream()
        }
    }
}

fn single_event(response: OperationResponse) -> ResponseEvent {
    match response.outcome {
        Outcome::Executed { .. } => ResponseEvent::Next(response, None),
        Outcome::Refused
        | Outcome::MutationNotAllowed
        | Outcome::Overloaded
        | Outcome::RateLimited
        | Outcome::Crashed => ResponseEvent::Failed(response),
    }
}

/// Returns the events of a subscription.
pub(crate) fn subscription_events(
    subscription: Subscription,
    transport: Transport,
) -> impl Stream<Item = ResponseEvent> + Send + 'static {
    let open_subscription = subscription.open_subscription(transport);
    stream::unfold((subscription, open_subscription), async |(mut subscription, mut open_subscription)| {
        let message = subscription.next().await?;
        let event = if subscription.has_ended() {
            ResponseEvent::Failed(message.response)
        } else {
            ResponseEvent::Next(message.response, Some(message.position))
        };
        open_subscription.event_sent();
        Some((event, (subscription, open_subscription)))
    })
}
