//! Properties 1, 3 and 4 through GraphQL connections. A tenth of the cases, because a graph takes longer to
//! build than the engine.

use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard::domain::filters::{AccountFilter, AccountOrder, AccountOrderField, OrderDirection};
use switchboard::domain::page::Direction;
use switchboard::loaders::lists::parent::Parent;
use switchboard::sandbox::Ties;

use super::expected_lists::{self, Accounts, ReadDirection, TOOLKITS_USED, accounts, orders};
use super::{cases, one_tenth, with_paused_clock};
use crate::world::{World, strings_at};

const WALK: &str =
    "query ($first: Int, $last: Int, $after: String, $before: String, $orderBy: ConnectedAccountOrder) {
    connectedAccounts(first: $first, last: $last, after: $after, before: $before, orderBy: $orderBy) {
        edges { node { connectedAccountId } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        totalCount
        isComplete
    }
}";

const NESTED: &str = "query ($slugs: [String!]!, $first: Int, $last: Int, $orderBy: ConnectedAccountOrder) {
    toolkitsBySlugs(slugs: $slugs) {
        connectedAccounts(first: $first, last: $last, orderBy: $orderBy) {
            edges { node { connectedAccountId } }
            pageInfo { hasNextPage hasPreviousPage }
            totalCount
        }
    }
}";

fn order_by(order: AccountOrder) -> Value {
    let field = match order.field {
        AccountOrderField::CreatedAt => "CREATED_AT",
        AccountOrderField::UpdatedAt => "UPDATED_AT",
    };
    let direction = match order.direction {
        OrderDirection::Asc => "ASC",
        OrderDirection::Desc => "DESC",
    };
    json!({ "field": field, "direction": direction })
}

/// The argument and field names of one direction.
struct DirectionNames {
    size: &'static str,
    from: &'static str,
    cursor: &'static str,
    is_more: &'static str,
}

fn direction_names(direction: Direction) -> DirectionNames {
    match direction {
        Direction::Forward => {
            DirectionNames { size: "first", from: "after", cursor: "endCursor", is_more: "hasNextPage" }
        }
        Direction::Backward => {
            DirectionNames { size: "last", from: "before", cursor: "startCursor", is_more: "hasPreviousPage" }
        }
    }
}

async fn check_paging(
    world: &World,
    truth: &[String],
    order: AccountOrder,
    direction: Direction,
    size: usize,
) {
    let DirectionNames { size: size_argument, from, cursor, is_more } = direction_names(direction);
    let (mut shown, mut place) = (Vec::new(), Value::Null);
    loop {
        let variables = json!({ size_argument: size, from: place, "orderBy": order_by(order) });
        let page = world.data_with(WALK, variables).await["connectedAccounts"].take();
        let ids = strings_at(&page, "edges.*.node.connectedAccountId");
        match direction {
            Direction::Forward => shown.extend(ids),
            Direction::Backward => drop(shown.splice(0..0, ids)),
        }
        assert_eq!(page["totalCount"], json!(truth.len()));
        assert_eq!(page["isComplete"], json!(true));
        if page["pageInfo"][is_more] == json!(false) {
            break;
        }
        place = page["pageInfo"][cursor].clone();
    }
    assert_eq!(shown, truth);
}

async fn check_connections(
    accounts: &Accounts,
    page_rows: usize,
    order: AccountOrder,
    direction: Direction,
    size: usize,
) {
    let world = World::with_accounts(accounts.0.clone(), page_rows);
    let list = |filter: &AccountFilter| {
        let rows = expected_lists::list(accounts, filter, order, Ties::Mirrored, ReadDirection::Own);
        rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>()
    };
    let slugs = expected_lists::slugs();
    assert!(slugs.len() > TOOLKITS_USED);
    let DirectionNames { size: size_argument, is_more, .. } = direction_names(direction);
    let variables = json!({ "slugs": slugs, size_argument: size, "orderBy": order_by(order) });
    let nested = world.data_with(NESTED, variables).await;
    for (slug, toolkit) in slugs.iter().zip(nested["toolkitsBySlugs"].as_array().unwrap()) {
        let slug = switchboard::domain::toolkits::ToolkitSlug::parse(slug).unwrap();
        let truth = list(&Parent::toolkits([&slug]).unwrap().narrow(&AccountFilter::default()));
        let connection = &toolkit["connectedAccounts"];
        let shown = strings_at(connection, "edges.*.node.connectedAccountId");
        let cut = truth.len().saturating_sub(size);
        let page = match direction {
            Direction::Forward => &truth[..truth.len() - cut],
            Direction::Backward => &truth[cut..],
        };
        assert_eq!(shown, page);
        assert_eq!(connection["pageInfo"][is_more], json!(cut > 0));
        let total = &connection["totalCount"];
        assert!(total.is_null() || *total == json!(truth.len()), "{total} of {}", truth.len());
    }
    check_paging(&world, &list(&AccountFilter::default()), order, direction, size).await;
}

proptest! {
    #![proptest_config(one_tenth(cases()))]

    #[test]
    fn connections_match_the_true_lists(
        accounts in accounts(), page_rows in 2..=9_usize, order in orders(),
        direction in prop_oneof![Just(Direction::Forward), Just(Direction::Backward)], size in 1..30_usize,
    ) {
        with_paused_clock(check_connections(&accounts, page_rows, order, direction, size));
    }
}
