//! The maximum number of upstream calls of an operation: the worst case of what the loaders do.
//!
//! - LeadLex has one list, which is read once per operation, however many fields need it.
//! - Accounts by IDs take one call per hundred, over all fields together.
//! - A list of accounts takes one call per upstream page. Lists of many parents are joined, so that a page has rows of
//!   several parents. If rows are distributed unevenly, each parent may have too few rows on that page and be requested
//!   again.
//! - A list that is filtered by several users takes one more call per user and page if accounts do not name their
//!   users, up to a limit for the operation.
//! - The names and other details of toolkits take one call per thousand toolkits of one selection.
//! - A disagreement takes two requests, each for one row of each integration's accounts.
//! - An action on an account takes one write and up to four reads of the account. Mutations run one after the other.
//! - A refresh reads both upstreams again, even if they were read before.
//! - Counts take one call per number, up to a limit, and one for the first page, which shows whether a walk over the
//!   list takes fewer calls.

use apollo_compiler::Name;
use apollo_compiler::executable::{Field, Selection, SelectionSet};

use super::argument::{rounded_up, to_f64};
use super::representations::Representations;
use crate::loaders::settings::ListSettings;
use crate::loaders::stats::USER_QUESTIONS_MAX;
use crate::upstream::toolkits::SLUGS_OF_A_CALL;

/// Number of counts in `statusCounts` that take a call.
const STATUSES: f64 = 7.0;

/// Number of IDs per call (`connected_account_ids`).
const IDS_OF_A_CALL: u64 = 100;

/// The fields of a toolkit that are read from Composio's catalogue.
const DETAILS_OF_TOOLKIT: [&str; 4] = ["name", "logoUrl", "categories", "description"];

/// The calls counted so far.
pub(super) struct Calls<'a> {
    lists: &'a ListSettings,
    are_providers_read: bool,
    accounts_by_id: u64,
    /// Questions for the users of accounts.
    user_questions: u64,
    /// Calls of lists and counts.
    others: u64,
}

impl<'a> Calls<'a> {
    pub(super) fn new(lists: &'a ListSettings) -> Self {
        Self { lists, are_providers_read: false, accounts_by_id: 0, user_questions: 0, others: 0 }
    }

    pub(super) fn sum(&self) -> u64 {
        let by_id = self.accounts_by_id.div_ceil(IDS_OF_A_CALL);
        let of_users = self.user_questions.min(USER_QUESTIONS_MAX);
        let others = self.others.saturating_add(of_users).saturating_add(by_id);
        others.saturating_add(u64::from(self.are_providers_read))
    }

    /// Counts the calls of a field that returns `objects` objects, over all its parents.
    pub(super) fn objects(&mut self, field: &Field, objects: f64) {
        // The objects of a page are already loaded.
        let is_read = matches!(field.name.as_str(), "nodes" | "edges" | "node") && field.arguments.is_empty();
        if is_read {
            return;
        }
        // The fragment is on a type that no representation of the router's request has.
        if objects <= 0.0 {
            return;
        }
        match field.definition.ty.inner_named_type().as_str() {
            "Provider" | "ProviderConnection" | "ProviderStatusCount" => self.are_providers_read = true,
            // Counts of the whole project. Within a connection, they are counts of that connection.
            "ConnectedAccountStatusCount" if field.name == "accountCounts" => self.counts(1.0 + STATUSES),
            "ConnectedAccount" => self.by_ids(objects),
            // Up to two reads before the write, the write, a read if it is not confirmed, and a read of the payload's
            // account.
            "CreateConnectLinkPayload"
            | "ReconnectAccountPayload"
            | "SetAccountEnabledPayload"
            | "RenameAccountPayload"
            | "RevokeAccountPayload"
            | "RemoveAccountPayload" => {
                self.others = self.others.saturating_add(rounded_up(objects).saturating_mul(5))
            }
            // Both upstreams are read again, each with one call.
            "RefreshPayload" => {
                self.others = self.others.saturating_add(rounded_up(objects).saturating_mul(2))
            }
            "Node" => {
                self.are_providers_read = true;
                self.by_ids(objects);
            }
            _ => {}
        }
    }

    /// Counts the calls of a router's representations. Users and toolkits need none.
    pub(super) fn entities(&mut self, entities: &Representations) {
        self.are_providers_read |= entities.of_type("Provider") > 0.0;
        self.by_ids(entities.of_type("ConnectedAccount"));
    }

    /// Counts the calls that read the details of a number of toolkits.
    pub(super) fn toolkits(&mut self, toolkits: f64) {
        self.others = self.others.saturating_add(rounded_up(toolkits / to_f64(SLUGS_OF_A_CALL)));
    }

    fn by_ids(&mut self, ids: f64) {
        self.accounts_by_id = self.accounts_by_id.saturating_add(rounded_up(ids));
    }

    /// Counts the calls of a list of accounts under a number of parents. `users` is the number of users of its filter.
    pub(super) fn list(&mut self, field: &Field, parents: f64, page: f64, has_cursor: bool, users: usize) {
        let selected = &field.selection_set;
        let rows_of_a_page = to_f64(self.lists.page_rows.max(1));
        if page > 0.0 {
            // One more row is needed to find out whether more rows follow.
            let wanted = page + f64::from(u8::from(selects(selected, &["pageInfo"])));
            let alone = (wanted / rows_of_a_page).ceil() + f64::from(u8::from(has_cursor));
            let calls = if parents > 1.0 && !has_cursor {
                let parents_of_a_call = (rows_of_a_page / wanted).floor().max(1.0);
                (parents / parents_of_a_call).ceil() + parents * alone
            } else {
                parents * alone
            };
            self.others = self.others.saturating_add(rounded_up(calls));
            if users > 1 {
                self.user_questions = self.user_questions.saturating_add(rounded_up(calls * to_f64(users)));
            }
        }
        let by_status = selects(selected, &["statusCounts"]);
        if by_status || selects(selected, &["totalCount"]) {
            self.counts(parents * (1.0 + if by_status { STATUSES } else { 0.0 }));
        }
    }

    fn counts(&mut self, numbers: f64) {
        let walk_or_calls = numbers.min(to_f64(self.lists.count_calls_max));
        let first_page = if numbers > 1.0 { 1.0 } else { 0.0 };
        self.others = self.others.saturating_add(rounded_up(walk_or_calls + first_page));
    }

    /// Counts the calls of `disagreement` for a number of providers: two requests, one for providers that work and one
    /// for the others, each for one row of each provider.
    pub(super) fn disagreements(&mut self, providers: f64) {
        let joined = (providers / to_f64(self.lists.page_rows.max(1))).ceil() + 1.0;
        self.others = self.others.saturating_add(rounded_up(2.0 * (joined + providers)));
    }
}

/// Whether a field of a type is read from Composio's catalogue of toolkits.
pub(super) fn is_detail_of_toolkit(of_type: &Name, field: &Field) -> bool {
    of_type == "Toolkit" && DETAILS_OF_TOOLKIT.contains(&field.name.as_str())
}

/// Whether a field is a list of accounts.
pub(super) fn is_list_of_accounts(field: &Field) -> bool {
    field.definition.ty.inner_named_type() == "ConnectedAccountConnection"
}

/// Whether a selection set has one of these fields. A fragment that is not inspected counts as if it had.
fn selects(set: &SelectionSet, names: &[&str]) -> bool {
    set.selections.iter().any(|selection| match selection {
        Selection::Field(field) => names.contains(&field.name.as_str()),
        Selection::InlineFragment(inline) => selects(&inline.selection_set, names),
        Selection::FragmentSpread(_) => true,
    })
}
