import { render } from 'preact';
import { App } from './app.js';
import { tellFaults } from './fault.js';

tellFaults();
const root = document.getElementById('app');
if (root !== null) render(<App />, root);
