// The required actions: broken integrations, then broken accounts by service.
import { useState } from "react";
import { graphql, useFragment } from "react-relay";
import { AccountRow } from "./AccountRow.jsx";
import { CopyButton, Icon, ServiceMark } from "./marks.jsx";
import { Ago } from "./Time.jsx";
import { ACCOUNT_STATUSES, accountsRemedy, brand, categoryOf, causeOf, logoOf, plural, providerRemedy, reminders, serviceOf } from "./words.js";

/** Accounts of a service that are shown before "Show all". */
const SHOWN = 3;

/** `needing` is the number of integrations that need attention, of which the graph lists at most 100. */
export function Attention({ health, needing, mine, count, more }) {
  const { providersNeedingAttention: providers, accountsNeedingAttention: accounts, accountCounts } = useFragment(
    graphql`
      fragment Attention_health on IntegrationHealth @argumentDefinitions(count: { type: "Int!" }) {
        accountCounts {
          status
          count
        }
        providersNeedingAttention {
          id
          name
          category
          rawCategory
          displayName
          toolkits {
            logoUrl
          }
          errorMessage
          lastSyncAt
          health {
            reasons {
              message
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
            statusReason
            toolkit {
              slug
              name
              logoUrl
            }
            health {
              reasons {
                code
              }
            }
            ...AccountRow_account
          }
        }
      }
    `,
    health,
  );
  const { total, text, isPartial } = countOf(providers && needing, accounts, accountCounts);
  if (total === 0) {
    const isUnknown = !providers || !accounts;
    return (
      <section className="card empty" aria-label="Needs attention">
        <span className={`bubble ${isUnknown ? "" : "good"}`}>
          <Icon name={isUnknown ? "alert" : "check"} />
        </span>
        <h2>{isUnknown ? "No known problems" : "Nothing needs attention"}</h2>
        <p>{isUnknown ? `${unknown(providers)} cannot be checked at the moment.` : "All integrations and accounts work, or no action is required."}</p>
      </section>
    );
  }
  const services = Map.groupBy(accounts?.nodes ?? [], ({ toolkit }) => toolkit.slug);
  const hidden = accounts ? (accounts.totalCount ?? 0) - accounts.nodes.length : 0;
  return (
    <section className="card attention" aria-labelledby="attention">
      <h2 id="attention">
        Needs attention <span className="badge">{text}</span>
      </h2>
      <ul>
        {providers?.map((provider) => (
          <ProviderItem key={provider.id} provider={provider} mine={mine} />
        ))}
        {[...services].map(([slug, nodes]) => (
          <Service key={slug} toolkit={nodes[0].toolkit} accounts={nodes} mine={mine} />
        ))}
      </ul>
      {isPartial && <p className="muted small wide">Accounts whose sign-in was never completed are listed, but not counted.</p>}
      {accounts?.pageInfo.hasNextPage &&
        (count < 100 ? (
          <button className="quiet wide" onClick={more}>
            Show more {hidden > 0 && <span className="muted">({plural(hidden, "further account")})</span>}
          </button>
        ) : (
          <p className="muted wide">These 100 changed last. The other accounts are listed under their integrations.</p>
        ))}
    </section>
  );
}

const unknown = (areIntegrationsKnown) => (areIntegrationsKnown ? "Accounts" : "Integrations");

/** The number of integrations and accounts. Where only one kind is known, the text says so. */
function countOf(integrations, accounts, accountCounts) {
  const needing = accountCounts?.filter(({ status }) => ACCOUNT_STATUSES.NEEDS_SIGN_IN.statuses.includes(status));
  const exact = accounts?.totalCount ?? (accounts && !accounts.pageInfo.hasNextPage ? accounts.nodes.length : null);
  const counted = exact ?? needing?.reduce((sum, { count }) => sum + count, 0) ?? null;
  const total = (integrations ?? 0) + (counted ?? 0);
  const number = total.toLocaleString("en");
  const areKnown = integrations != null;
  if (!areKnown && counted === null) return { total: 0 };
  return {
    total,
    text: areKnown && counted !== null ? number : `${number} · ${unknown(areKnown).toLowerCase()} unknown`,
    isPartial: counted !== null && exact === null,
  };
}

function ProviderItem({ provider, mine }) {
  const { name, displayName, errorMessage, health } = provider;
  return (
    <li className="item">
      <ServiceMark name={name} logo={logoOf(provider)} />
      <div className="what">
        <h3>
          {brand(name)} <span className="muted">{displayName ?? categoryOf(provider)}</span>
        </h3>
        <p>{errorMessage ?? health.reasons[0]?.message}</p>
        <p className="muted small">
          Integration of the whole workspace
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

function Service({ toolkit, accounts, mine }) {
  const [all, setAll] = useState(false);
  const service = serviceOf(toolkit);
  const persons = accounts.map((account) => ({ user: account.userId, cause: causeOf(account) }));
  const causes = persons.map(({ cause }) => cause);
  const users = [...new Set(persons.map(({ user }) => user))];
  const shown = all ? accounts : accounts.slice(0, SHOWN);
  return (
    <li className="service-group">
      <div className="item">
        <ServiceMark name={toolkit.slug} logo={toolkit.logoUrl} />
        <div className="what">
          <h3>
            {service} <span className="muted">{plural(accounts.length, "account")}</span>
          </h3>
          <p>{accountsRemedy({ causes, service, users, mine })}</p>
        </div>
        {!mine && (
          <div className="remedy">
            <CopyButton
              text={reminders(persons, service)}
              label={users.length > 1 ? `Copy a reminder for ${users.length} users` : "Copy a reminder"}
            />
          </div>
        )}
      </div>
      <ul className="rows">
        {shown.map((account) => (
          <AccountRow key={account.id} account={account} mine={mine} />
        ))}
      </ul>
      {accounts.length > SHOWN && (
        <button className="quiet small" onClick={() => setAll(!all)} aria-expanded={all}>
          {all ? "Show fewer" : `Show all ${accounts.length} accounts of ${service}`}
        </button>
      )}
    </li>
  );
}
