//! Pages of providers: slices of one list in memory, forward and backward, filtered and ordered.

use serde_json::{Value, json};
use switchboard::sandbox::Tenant;

use crate::world::{World, at, strings_at};

const QUERY: &str = "query ($after: String, $before: String, $first: Int, $last: Int, $filter: ProviderFilter, $orderBy: ProviderOrder) {
    providers(after: $after, before: $before, first: $first, last: $last, filter: $filter, orderBy: $orderBy) {
        edges { cursor node { id } } nodes { id category rawCategory name status connected displayName connectedAt lastSyncAt }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount
    }
}";

async fn page(world: &World, variables: Value) -> Value {
    world.data_with(QUERY, variables).await["providers"].take()
}

/// The ids of all providers, and their cursors.
async fn all_providers(world: &World) -> (Vec<String>, Vec<String>) {
    let all_providers = page(world, json!({})).await;
    (strings_at(&all_providers, "nodes.*.id"), strings_at(&all_providers, "edges.*.cursor"))
}

/// The list positions that a page has, with `hasPreviousPage` and `hasNextPage`.
fn places(page: &Value, ids: &[String]) -> (Vec<usize>, bool, bool) {
    let place = |id: &String| ids.iter().position(|known| known == id).unwrap();
    let held = strings_at(page, "nodes.*.id");
    assert_eq!(strings_at(page, "edges.*.node.id"), held);
    let cursors = strings_at(page, "edges.*.cursor");
    assert_eq!(page["pageInfo"]["startCursor"].as_str(), cursors.first().map(String::as_str));
    assert_eq!(page["pageInfo"]["endCursor"].as_str(), cursors.last().map(String::as_str));
    assert_eq!(page["totalCount"], ids.len());
    let says = |flag: &str| page["pageInfo"][flag].as_bool().unwrap();
    (held.iter().map(place).collect(), says("hasPreviousPage"), says("hasNextPage"))
}

#[tokio::test(start_paused = true)]
async fn every_argument_combination_follows_the_relay_specification() {
    let world = World::new();
    let (ids, cursors) = all_providers(&world).await;
    assert_eq!(ids.len(), 25);
    let at = |place: usize| cursors[place].as_str();
    for (variables, held, previous, next) in [
        (json!({ "first": 3 }), 0..3, false, true),
        (json!({ "first": 25 }), 0..25, false, false),
        (json!({ "first": 100 }), 0..25, false, false),
        (json!({ "first": 0 }), 0..0, false, true),
        (json!({ "last": 3 }), 22..25, true, false),
        (json!({ "last": 0 }), 0..0, true, false),
        (json!({ "first": 3, "after": at(4) }), 5..8, true, true),
        (json!({ "first": 3, "after": at(22) }), 23..25, true, false),
        (json!({ "first": 3, "after": at(24) }), 0..0, true, false),
        (json!({ "last": 3, "before": at(10) }), 7..10, true, true),
        (json!({ "last": 3, "before": at(2) }), 0..2, false, true),
        (json!({ "last": 3, "before": at(0) }), 0..0, false, true),
        (json!({ "first": 3, "before": at(10) }), 0..3, false, true),
        (json!({ "first": 30, "before": at(10) }), 0..10, false, true),
        (json!({ "last": 3, "after": at(10) }), 22..25, true, false),
        (json!({ "last": 30, "after": at(10) }), 11..25, true, false),
        (json!({ "first": 2, "after": at(4), "before": at(10) }), 5..7, true, true),
        (json!({ "last": 2, "after": at(4), "before": at(10) }), 8..10, true, true),
        (json!({ "after": at(4), "before": at(6) }), 5..6, true, true),
        (json!({ "after": at(10), "before": at(4) }), 0..0, true, true),
    ] {
        let page = page(&world, variables.clone()).await;
        assert_eq!(places(&page, &ids), (held.collect(), previous, next), "{variables}");
    }
    assert_eq!(world.calls().len(), 1, "all pages come from one list");
}

#[tokio::test(start_paused = true)]
async fn paging_either_way_returns_every_provider_once() {
    let world = World::new();
    let (ids, _) = all_providers(&world).await;
    let (mut forward, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = page(&world, json!({ "first": 4, "after": after })).await;
        forward.extend(strings_at(&page, "nodes.*.id"));
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(forward, ids);
    let (mut backward, mut before) = (Vec::new(), Value::Null);
    loop {
        let page = page(&world, json!({ "last": 4, "before": before })).await;
        backward.splice(0..0, strings_at(&page, "nodes.*.id"));
        before = page["pageInfo"]["startCursor"].clone();
        if page["pageInfo"]["hasPreviousPage"] == false {
            break;
        }
    }
    assert_eq!(backward, ids);
}

#[tokio::test(start_paused = true)]
async fn every_filter_selects_its_providers() {
    let world = World::new();
    let (ids, _) = all_providers(&world).await;
    let all = page(&world, json!({})).await;
    let all = all["nodes"].as_array().unwrap();
    let text = |node: &Value, field: &str| node[field].as_str().unwrap_or_default().to_lowercase();
    type Fits<'t> = Box<dyn Fn(&Value) -> bool + 't>;
    let filters: [(Value, Fits<'_>); 12] = [
        (json!({ "ids": [ids[3], ids[1]] }), Box::new(|n| n["id"] == ids[3] || n["id"] == ids[1])),
        (
            json!({ "categories": ["EMAIL", "BILLING"] }),
            Box::new(|n| n["category"] == "EMAIL" || n["category"] == "BILLING"),
        ),
        (json!({ "categories": ["OTHER"] }), Box::new(|n| n["rawCategory"] == "crm")),
        (json!({ "names": ["microsoft"] }), Box::new(|n| n["name"] == "microsoft")),
        (json!({ "names": ["Microsoft"] }), Box::new(|_| false)),
        (json!({ "statuses": ["NEEDS_REAUTH"] }), Box::new(|n| n["status"] == "NEEDS_REAUTH")),
        (json!({ "statuses": ["UNKNOWN"] }), Box::new(|n| n["status"] == "UNKNOWN")),
        (json!({ "connected": false }), Box::new(|n| n["connected"] == false)),
        (
            json!({ "search": "MAIL" }),
            Box::new(move |n| text(n, "name").contains("mail") || text(n, "displayName").contains("mail")),
        ),
        (json!({ "ids": [] }), Box::new(|_| false)),
        (
            json!({ "categories": null, "names": null, "statuses": null, "connected": null, "search": null, "ids": null }),
            Box::new(|_| true),
        ),
        (
            json!({ "categories": ["EMAIL"], "connected": true, "names": ["gmail"] }),
            Box::new(|n| n["name"] == "gmail"),
        ),
    ];
    for (filter, fits) in filters {
        let expected: Vec<_> = all.iter().filter(|node| fits(node)).cloned().collect();
        let page = page(&world, json!({ "filter": filter })).await;
        assert_eq!(page["nodes"], json!(expected), "{filter}");
        assert_eq!(page["totalCount"], expected.len(), "{filter}");
    }
    for list in ["categories", "names", "statuses"] {
        assert_eq!(page(&world, json!({ "filter": { list: [] } })).await["totalCount"], 0, "{list}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_order_has_both_directions_and_nulls_last() {
    let world = World::new();
    let declared = |list: &'static [&'static str]| {
        move |value: &Value| list.iter().position(|word| value == *word).unwrap()
    };
    let category = declared(&["EMAIL", "CALENDAR", "CHANNELS", "IDENTITY", "STORAGE", "BILLING", "OTHER"]);
    let status = declared(&["HEALTHY", "DEGRADED", "NEEDS_REAUTH", "DISCONNECTED", "UNKNOWN"]);
    let mut all = page(&world, json!({})).await["nodes"].as_array().unwrap().clone();
    for (field, path) in [
        ("NAME", "name"),
        ("CATEGORY", "category"),
        ("STATUS", "status"),
        ("CONNECTED_AT", "connectedAt"),
        ("LAST_SYNC_AT", "lastSyncAt"),
    ] {
        for direction in ["ASC", "DESC"] {
            let mut expected = all.clone();
            expected.sort_by(|a, b| {
                let (a, b) = (&a[path], &b[path]);
                let ordering = match path {
                    "category" => category(a).cmp(&category(b)),
                    "status" => status(a).cmp(&status(b)),
                    _ if a.is_null() || b.is_null() => return a.is_null().cmp(&b.is_null()),
                    _ => a.as_str().cmp(&b.as_str()),
                };
                if direction == "ASC" { ordering } else { ordering.reverse() }
            });
            let ordered =
                page(&world, json!({ "orderBy": { "field": field, "direction": direction } })).await;
            assert_eq!(
                strings_at(&ordered, "nodes.*.id"),
                strings_at(&json!(expected), "*.id"),
                "{field} {direction}"
            );
        }
    }
    all.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let unsaid = page(&world, json!({ "orderBy": { "field": "NAME" } })).await;
    assert_eq!(at(&unsaid, "nodes"), json!(all));
}

#[tokio::test(start_paused = true)]
async fn cursor_of_a_deleted_provider_stays_valid() {
    let world = World::new();
    let (ids, cursors) = all_providers(&world).await;
    world.sandbox.change_providers(Tenant::A, |rows| drop(rows.remove(4)));
    world.advance(crate::world::LONGEST_TTL).await;
    let after = page(&world, json!({ "first": 2, "after": cursors[4] })).await;
    assert_eq!(strings_at(&after, "nodes.*.id"), ids[5..7]);
    let before = page(&world, json!({ "last": 2, "before": cursors[4] })).await;
    assert_eq!(strings_at(&before, "nodes.*.id"), ids[2..4]);
}

#[tokio::test(start_paused = true)]
async fn identical_rows_have_distinct_ids() {
    let world = World::new();
    world.sandbox.change_providers(Tenant::A, |rows| {
        let mut twin = rows[0].clone();
        twin["display_name"] = json!("The twin");
        rows.push(twin);
    });
    let (ids, _) = all_providers(&world).await;
    let query = "query ($ids: [ID!]!) { providersByIds(ids: $ids) { displayName } }";
    let data = world.data_with(query, json!({ "ids": [ids[25], ids[0]] })).await;
    assert_eq!(strings_at(&data, "providersByIds.*.displayName"), ["The twin", "Team Mailbox"]);
}
