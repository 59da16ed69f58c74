// Sends requests to Switchboard over a few kept connections.

import { Agent, request } from 'node:http';

const CONNECTIONS = 8;

export class Client {
  constructor(url) {
    this.url = url;
    this.agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  }

  close() {
    this.agent.destroy();
  }

  /** The response to a query or mutation; `variables` as JSON text. */
  async ask({ query, variables = '{}', operationName = null }) {
    const body = `{"query":${JSON.stringify(query)},"variables":${variables},"operationName":${JSON.stringify(operationName)}}`;
    const { status, text } = await this.#send(body, 'application/graphql-response+json');
    try {
      return { status, ...JSON.parse(text) };
    } catch (error) {
      throw new Error(`no JSON: ${status} ${text}`, { cause: error });
    }
  }

  /** The errors that refuse a subscription, or an empty object once its stream is open. */
  async subscribe({ query, variables = '{}', operationName = null }) {
    const body = `{"query":${JSON.stringify(query)},"variables":${variables},"operationName":${JSON.stringify(operationName)}}`;
    const { status, text } = await this.#send(body, 'text/event-stream', (text) => /^id: /m.test(text));
    const event = /^data: (\{.*\})$/m.exec(text);
    return event ? { status, ...JSON.parse(event[1]) } : { status, data: {} };
  }

  #send(body, accept, isEnough) {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', accept, 'content-length': Buffer.byteLength(body) };
      const sent = request(this.url, { method: 'POST', agent: this.agent, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          text += chunk;
          if (isEnough?.(text)) {
            resolve({ status: response.statusCode, text });
            response.destroy();
          }
        });
        response.on('end', () => resolve({ status: response.statusCode, text }));
        response.on('error', reject);
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }
}

/** Runs `work` on each item, a few at a time. */
export async function forEach(items, work) {
  const iterator = items[Symbol.iterator]();
  const worker = async () => {
    for (let next = iterator.next(); !next.done; next = iterator.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
}
