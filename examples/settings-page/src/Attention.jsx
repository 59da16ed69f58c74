// What needs somebody, first of all: the reason, and what to do about it.
import { useState } from "react";
import { graphql, useFragment } from "react-relay";
import { Icon, PersonMark, ServiceMark } from "./marks.jsx";
import { Ago } from "./Moment.jsx";
import { accountRemedy, brand, categoryOf, plural, providerRemedy, reminder } from "./words.js";

export function Attention({ health, mine, count, more }) {
  const { providersNeedingAttention: providers, accountsNeedingAttention: accounts } = useFragment(
    graphql`
      fragment Attention_health on IntegrationHealth @argumentDefinitions(count: { type: "Int!" }) {
        providersNeedingAttention {
          id
          name
          category
          rawCategory
          displayName
          errorMessage
          lastSyncAt
          health {
            reasons {
              code
              message
              since
            }
          }
        }
        accountsNeedingAttention(first: $count) {
          totalCount
          pageInfo {
            hasNextPage
          }
          nodes {
            id
            userId
            alias
            wordId
            statusReason
            toolkit {
              slug
            }
            health {
              reasons {
                code
                message
                since
              }
            }
          }
        }
      }
    `,
    health,
  );
  const total = (providers?.length ?? 0) + (accounts?.totalCount ?? accounts?.nodes.length ?? 0);
  const unsure = !providers || !accounts || accounts.totalCount === null;
  if (total === 0) {
    return (
      <section className="card empty" aria-label="Needs attention">
        <span className="bubble good">
          <Icon name="check" />
        </span>
        <h2>{unsure ? "Nothing known needs attention" : "Nothing needs attention"}</h2>
        <p>{unsure ? "What cannot be read at the moment is not counted." : "Every integration and every account works, or waits for nobody."}</p>
      </section>
    );
  }
  const hidden = accounts ? (accounts.totalCount ?? 0) - accounts.nodes.length : 0;
  return (
    <section className="card attention" aria-labelledby="attention">
      <h2 id="attention">
        Needs attention <span className="badge">{unsure && accounts?.pageInfo.hasNextPage ? `${total}+` : total}</span>
      </h2>
      <ul>
        {providers?.map((provider) => (
          <ProviderItem key={provider.id} provider={provider} mine={mine} />
        ))}
        {accounts?.nodes.map((account) => (
          <AccountItem key={account.id} account={account} mine={mine} />
        ))}
      </ul>
      {accounts?.pageInfo.hasNextPage &&
        (count < 100 ? (
          <button className="quiet wide" onClick={more}>
            Show more {hidden > 0 && <span className="muted">({plural(hidden, "further account")})</span>}
          </button>
        ) : (
          <p className="muted wide">These are the newest; the others are listed under their integrations.</p>
        ))}
    </section>
  );
}

function ProviderItem({ provider, mine }) {
  const { name, displayName, errorMessage, health } = provider;
  const [reason] = health.reasons;
  return (
    <li>
      <ServiceMark name={name} />
      <div className="what">
        <h3>
          {brand(name)} <span className="muted">{displayName ?? categoryOf(provider)}</span>
        </h3>
        <p>{errorMessage ?? reason?.message}</p>
        <p className="muted small">
          Whole workspace
          {provider.lastSyncAt && (
            <>
              {" · last synced "}
              <Ago at={provider.lastSyncAt} />
            </>
          )}
        </p>
      </div>
      <p className="remedy">{providerRemedy({ name, mine })}</p>
    </li>
  );
}

function AccountItem({ account, mine }) {
  const { userId, alias, wordId, toolkit, health } = account;
  const [reason] = health.reasons;
  const service = brand(toolkit.slug);
  const remedy = accountRemedy({ code: reason?.code, service, user: userId ?? "its user", mine });
  return (
    <li>
      <PersonMark user={userId} />
      <div className="what">
        <h3>
          {service} <span className="muted">{mine ? (alias ?? wordId) : [userId, alias].filter(Boolean).join(" · ")}</span>
        </h3>
        <p>{reason?.message}</p>
        <p className="muted small">
          {account.statusReason && `${account.statusReason} · `}
          {reason?.since && (
            <>
              since <Ago at={reason.since} />
            </>
          )}
        </p>
      </div>
      <div className="remedy">
        {remedy}
        {!mine && <CopyReminder text={reminder({ code: reason?.code, service })} />}
      </div>
    </li>
  );
}

function CopyReminder({ text }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2_000);
  };
  return (
    <button className="small" onClick={copy}>
      <Icon name={copied ? "check" : "copy"} /> <span aria-live="polite">{copied ? "Copied" : "Copy a reminder"}</span>
    </button>
  );
}
