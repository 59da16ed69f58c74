// A row for one account, which opens its details.
import { useId, useState } from "react";
import { graphql, useFragment } from "react-relay";
import { RowActions } from "./AccountActions.jsx";
import { AccountDetail } from "./AccountDetail.jsx";
import { Icon, PersonMark, State } from "./marks.jsx";
import { Ago } from "./Time.jsx";
import { serviceOf } from "./words.js";

/** `withService` names the service, for lists of accounts of several services. */
export function AccountRow({ account: key, mine, withService }) {
  const account = useFragment(
    graphql`
      fragment AccountRow_account on ConnectedAccount {
        id
        userId
        alias
        displayName
        wordId
        updatedAt
        accountType
        statusReason
        toolkit {
          slug
          name
        }
        health {
          state
          reasons {
            message
          }
        }
        ...AccountActions_account
      }
    `,
    key,
  );
  const [open, setOpen] = useState(false);
  const panel = useId();
  const { id, userId, alias, displayName, wordId, updatedAt, accountType, statusReason, toolkit, health } = account;
  const [name, beside] = [mine ? null : userId, alias ?? displayName ?? wordId].filter(Boolean);
  const service = withService ? serviceOf(toolkit) : null;
  return (
    <li className="account">
      <button className="row" aria-expanded={open} aria-controls={panel} onClick={() => setOpen(!open)}>
        <PersonMark user={userId} />
        <span className="what">
          <span className="name">
            {name ?? "Unnamed account"} {(service || beside) && <span className="muted">{[service, beside].filter(Boolean).join(" · ")}</span>}
            {accountType === "SHARED" && <span className="tag">shared</span>}
          </span>
          {health.state !== "HEALTHY" && <span className="muted small">{statusReason ?? health.reasons[0]?.message}</span>}
        </span>
        <span className="muted small when">{updatedAt && <Ago at={updatedAt} />}</span>
        <span className="verdict">
          <State state={health.state} />
        </span>
        <Icon name="chevron" />
      </button>
      <RowActions account={account} />
      <div id={panel} hidden={!open}>
        {open && <AccountDetail id={id} />}
      </div>
    </li>
  );
}
