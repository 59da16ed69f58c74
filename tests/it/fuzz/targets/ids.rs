//! Global ids: an accepted id is printed as the same text, and everything else is refused.

use switchboard::domain::global_id::{GlobalId, account_id, provider_id};

pub(super) fn ids(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = GlobalId::parse(text).ok();
    if let Some(id) = &parsed {
        assert_eq!(id.encode(), text);
    }
    if let Ok(id) = account_id(text) {
        assert!(&*id == text || parsed == Some(GlobalId::Account(id.clone())));
        // One value of a comma-joined list.
        assert!((1..=256).contains(&id.len()) && !id.contains(',') && !id.contains(char::is_control), "{id}");
    }
    assert_eq!(
        provider_id(text).ok().map(GlobalId::Provider),
        parsed.filter(|id| matches!(id, GlobalId::Provider(_)))
    );
}
