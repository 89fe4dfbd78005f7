import { useState } from 'preact/hooks';

/** Where the relay wants a token. `refused`: one was tried, and this is what the relay said. */
export function SignIn({
  refused,
  onToken,
}: {
  readonly refused: string | undefined;
  readonly onToken: (token: string) => void;
}) {
  const [token, setToken] = useState('');
  return (
    <form
      class="sign-in"
      aria-label="Sign in"
      onSubmit={(event) => {
        event.preventDefault();
        if (token.trim() !== '') onToken(token.trim());
      }}
    >
      <h2>This relay wants a token</h2>
      {refused !== undefined && (
        <p class="problem" role="alert">
          The token was not taken: it is wrong, was revoked, or has expired. The relay says: {refused}
        </p>
      )}
      <p>It is kept in this tab alone until the tab is closed, and sent to this relay only.</p>
      <label class="field">
        <span>Token</span>
        <input
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
      </label>
      <div class="buttons">
        <button type="submit" class="primary" disabled={token.trim() === ''}>
          Sign in
        </button>
      </div>
    </form>
  );
}
