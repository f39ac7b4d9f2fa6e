package data

// plotsOfWonder are about things new and strange.
var plotsOfWonder = []plot{
	{
		name: "learn", cast: anyone,
		words: map[string][]string{
			"skill": {
				"whistle/only air came out/make your lips small and round", "swim/water got into {his} nose/keep your legs long and breathe slowly",
				"skip a stone on the water/the stone only went plop/hold it flat and throw it low", "play the flute/it sounded like a sick goose/use only a little breath",
				"stand on one leg/{he} fell over at once/look at one spot and hold your eyes still", "tie a bow/the string fell apart/make two ears and cross them",
				"dance/{he} stepped on {his} own feet/listen to the music first and move later", "juggle three nuts/all of them fell on {his} head/start with one nut and then take two",
			},
		},
		paras: [][]line{
			{opening, {
				"All {his} friends could {skill.0}, but {A} could not.", "There was one thing that {A} wanted to learn. {he} wanted to {skill.0}.", "When {A} saw a stranger {skill.0} one day, {he} wanted to learn it too.",
			}, {
				"{he} tried, but {skill.1}.", "{he} went behind the house, where nobody could see {him}, and tried. But {skill.1}.",
			}},
			{{
				"{he} tried ten times, and ten times {skill.1}.", "{he} tried again in the evening. Again {skill.1}.", "The next day was no better.",
			}, {
				"\"I am too stupid for this,\" said {A}.", "\"I will never learn it,\" said {A} angrily.", "Some of the others laughed, and {his} face felt hot.",
			}, {
				"{his} friend {B} shook {bhis} head.", "\"Do you think that I could do it on the first day?\" asked {his} friend {B}.", "But {his} friend {B} did not laugh.",
			}},
			{{
				"\"It took me a whole month,\" said {B}. \"Watch me. You must {skill.2}.\"", "\"I will show you a secret,\" said {B}. \"You must {skill.2}.\"", "\"Try it like this,\" said {B}. \"First of all, {skill.2}.\"",
			}, {
				"{A} tried it slowly.", "{A} watched closely and did the same.", "{A} closed {his} eyes and tried it once more.",
			}, {
				"It was still not good, but it was a little better.", "It almost worked!", "\"That was better!\" cried {B}.",
			}, {
				"From then on, {A} practiced a little every day.", "They practiced every afternoon until the sun went down.", "\"Again,\" said {A}, and {he} did it again and again.",
			}},
			{{
				"And one {day}, {A} could do it.", "Then, one {day}, it worked as if it were the easiest thing in the world.", "Three weeks later, {he} could do it without even thinking.",
			}, {
				"\"Look at me!\" {he} called, so loudly that the birds flew up.", "{B} clapped and shouted with joy.", "{his} {K} came out of the house and clapped.",
			}, {
				"A few days later, a small child asked, \"Can you teach me to {skill.0}?\" \"Of course,\" said {A}, and they began at once.", "{A} was so proud that {he} wanted to {skill.0} all day long.", "",
			}, {
				"Nobody is born a master.", "{A} learned that you only fail when you stop trying.", "A little every day is more than a lot on one day.", "Every master was once a beginner.",
			}},
		},
	},
	{
		name: "newcomer", cast: anyone,
		paras: [][]line{
			{opening, habit, {
				"One {day}, a new family moved into the empty house next door.", "One {day}, a cart full of chairs and boxes stopped nearby.", "One {day}, {A} saw smoke above a house that had been empty for years.",
			}, {
				"There was a {bkind} with them. {bhis} name was {B}.", "With them came a {bkind} named {B}.",
			}},
			{{
				"{B} did not speak to anyone.", "{B} sat on the steps all day and looked at {bhis} feet.", "{B} always stood by the fence and watched the others play.",
			}, {
				"\"{B} is strange,\" said the others. \"Leave {bhim} alone.\"", "\"Why does {B} never play with us?\" asked the others.", "The others soon forgot about {B}.",
			}, {
				"But {A} thought that {B} looked lonely.", "\"Maybe {B} is only shy,\" thought {A}.", "{A} remembered how it feels to be alone.",
			}},
			{{
				"So {A} took some {snack} and went over. \"Would you like some?\" {he} asked.", "{A} sat down on the steps too and said nothing at all. After a while, {he} held out some {snack}.", "{A} rolled a ball over to {B} and waited. Slowly, the ball came back.",
			}, {
				"{B} looked up and smiled a very small smile.", "\"Thank you,\" said {B} so softly that {A} could hardly hear it.", "At first {B} only nodded.",
			}, {
				"\"I miss my old friends,\" {bhe} said. \"I do not know how to make new ones.\"", "\"I was afraid that nobody would like me,\" {bhe} said.", "\"Everything is so different here,\" {bhe} said.",
			}, {
				"\"You have just made one,\" said {A}.", "\"I like you,\" said {A}. \"Come, I will show you everything.\"", "\"Do you know what we will do?\" asked {A}. \"We will start with the apple tree. It is the best place to sit.\"",
			}},
			{{
				"{A} showed {bhim} the pond, the mill and the secret path behind it.", "It turned out that {B} knew a hundred games, and nobody here knew a single one of them.", "{B} could tell wonderful stories. Soon everybody sat around {bhim} and listened.",
			}, {
				"Before long, all of them played together.", "The next day, {B} was the first at the gate.", "Within a week, it was as if {B} had always lived there.",
			}, together, {
				"A stranger is a friend whom you have not met yet.", "All it takes is one who makes the first step.", "And when the next new family came, it was {B} who went over first.", "{A} was glad that {he} had not listened to the others.",
			}},
		},
	},
	{
		name: "noise", cast: anyone,
		words: map[string][]string{
			"noise": {
				"tap, tap, tap/a branch that knocked on the window in the wind/tied the branch back with a string", "scratch, scratch/a small mouse that was looking for crumbs/gave it a piece of cheese",
				"drip, drip, drip/a drop of water that fell into a bucket/put a cloth into the bucket", "hoo, hoo/an owl on the roof that was singing to the moon/opened the window and listened",
				"bump, bump/an apple that rolled to and fro on the floor above/ate the apple", "squeak, squeak/the old gate that had not been closed/closed the gate",
			},
		},
		paras: [][]line{
			{opening, alone, {
				"One night, {A} woke up. The house was dark.", "One night, {A} was lying in bed and could not sleep.", "It was late at night, and everyone was asleep but {A}.",
			}, {
				"There was a strange noise. \"{noise.0},\" it went.", "Then {he} heard it: {noise.0}.", "Something went {noise.0}. Then it was quiet. Then it went {noise.0} again.",
			}},
			{{
				"{A} pulled the blanket up to {his} nose.", "{A} sat up and listened.", "{A} held {his} breath.",
			}, {
				"\"It is a ghost,\" {he} thought.", "\"Maybe it is a monster with green eyes,\" {he} thought.", "\"It must be a robber,\" {he} thought.",
			}, {
				"Then {he} remembered what {his} {K} had once said: \"Most monsters are small when you turn on the light.\"", "{he} wanted to call {his} {K}, but then {he} thought, \"I will have a look first.\"", "\"I am not a baby,\" {he} told {himself}. \"I will go and see.\"",
			}},
			{{
				"{A} took a lamp and went down the stairs on soft feet.", "With a candle in {his} {paw}, {he} went along the dark hall.", "Step by step, {he} followed the sound.",
			}, {
				"\"Who is there?\" {he} asked. The answer was {noise.0}.", "The noise came closer. {his} knees were shaking.", "{he} counted to three and lifted the light.",
			}, {
				"It was only {noise.1}!", "And what did {he} find? It was {noise.1}.", "There was no ghost. There was only {noise.1}.",
			}, {
				"{A} laughed out loud and {noise.2}.", "\"So it was you!\" said {A}, and {he} {noise.2}.", "{A} shook {his} head, smiled and {noise.2}.",
			}},
			{{
				"Then {he} went back to bed, and soon {he} was asleep.", "After that, {he} got back into {his} warm bed.", "Back in bed, {he} yawned and closed {his} eyes.",
			}, {
				"In the morning, {he} told {his} friend {B} about it. \"You are very brave,\" said {B}.", "At breakfast, {his} {K} asked, \"Did you sleep well?\" {A} only smiled.", "\"Was it really so simple?\" asked {his} friend {B} the next day. \"It was,\" said {A}.",
			}, {
				"If you look at a fear closely, it often becomes funny.", "Since then, {A} has not been afraid of noises in the night.", "What we do not know always seems bigger than it is.", "The night is full of sounds, and most of them are friendly.",
			}},
		},
	},
	{
		name: "soup", cast: anyone,
		words: map[string][]string{
			"vegetable": {"three carrots", "an onion", "two potatoes", "a cabbage", "some beans", "a bunch of parsley", "a piece of butter", "a little salt"},
		},
		paras: [][]line{
			{opening, {
				"It was a cold winter, and nobody had much to eat.", "The harvest had been poor, and there was little food in the village.", "The snow lay deep, and the shelves were almost empty.",
			}, {
				"{A} had only {vegetable}.", "In {his} kitchen there was nothing left but {vegetable}.",
			}},
			{{
				"\"From this alone, no soup can be made,\" {he} said.", "\"That will not fill anyone,\" {he} thought.",
			}, {
				"Then {he} had an idea. {he} carried {his} biggest pot outside, filled it with water and made a fire.", "But {he} did not give up. {he} put a big pot on a fire in the middle of the square.",
			}, {
				"\"What are you doing?\" asked {B}, a {trait2} {bkind}. \"I am making soup for everyone,\" said {A}.", "A {bkind} named {B} came by. \"What will that be?\" asked {B}. \"It will be the best soup in the world,\" said {A}.",
			}},
			{{
				"\"Is anything missing?\" asked {B}. \"I have {vegetable2} at home.\"", "\"I could bring {vegetable2},\" said {B}. \"It is not much.\"", "\"May I add something?\" asked {B}, and {bhe} brought {vegetable2}.",
			}, {
				"\"Every little bit helps,\" said {A}.", "\"Wonderful!\" said {A}. \"Put it in.\"",
			}, {
				"The smell went from door to door. A neighbor came with {vegetable3}, and another one brought {vegetable4}.", "Soon others came to see. One brought {vegetable3}, and one brought {vegetable4}.", "Then came the old miller with {vegetable3}, and then the baker with {vegetable4}.",
			}, {
				"{A} stirred and tasted and stirred again.", "The soup bubbled and began to smell very good.", "They took turns with the long spoon.",
			}},
			{{
				"When it was ready, there was enough for the whole village.", "In the end, everybody had a full bowl, and there was still some left.", "They all sat around the fire, and each of them ate two bowls.",
			}, {
				"\"How did you do it?\" asked {his} {K}. \"You had almost nothing.\" \"Each of us had almost nothing,\" said {A}. \"Together we had enough.\"",
				"\"It is the best soup I ever ate,\" said {B}.", "Someone began to sing, and soon everyone was singing.",
			}, {
				"When all give a little, nobody goes hungry.", "From then on, they made soup together every week.", "A big pot needs many friends.", "It was a cold winter, but nobody in that village felt cold.",
			}},
		},
	},
	{
		name: "snow", cast: anyone,
		paras: [][]line{
			{opening, friend, {
				"One morning, the whole world was white. It had snowed all night.", "One winter morning, {A} looked out of the window and shouted with joy. There was snow everywhere.", "One morning it was very quiet. Snow had covered every roof and every tree.",
			}},
			{{
				"{A} put on a scarf and ran out to {B}.", "{A} knocked on {B}'s door. \"Come out!\" {he} called. \"It has snowed!\"",
			}, {
				"First they made [a trail of footprints|a long slide|snowballs]. Then they built a snowman.", "\"Let us build a snowman,\" said {B}. They rolled three great balls and put them on top of each other.",
			}, {
				"It got two stones for eyes, a carrot for a nose and a {color} hat.", "{A} gave it a carrot nose, and {B} gave it a {color} scarf.", "They gave it buttons made of nuts, arms made of sticks and an old {color} hat.",
			}},
			{{
				"\"Now we need a name,\" said {A}. \"I think it looks like {title},\" said {B}.", "\"Good morning, {title},\" said {A}, and {he} bowed.", "\"Its name is {title},\" said {B}, and {A} agreed.",
			}, {
				"All that week they came to visit it and told it the news.", "Every day they brought it something new, a feather, a leaf or a song.", "Each morning they said hello to it, and each evening they wished it good night.",
			}, {
				"But then the sun came out and the wind grew warm.", "But one day, the icicles began to drip.", "But after a week, the snow began to melt.",
			}, {
				"The snowman grew smaller and smaller. In the end, there was only a puddle and a carrot.", "When they came the next morning, only the carrot was left.",
			}},
			{{
				"{B} was very sad. \"It is gone forever,\" {bhe} said.", "{A} had tears in {his} eyes. \"I will miss it,\" {he} said.", "They stood there for a long time and did not speak.",
			}, {
				"\"It is not gone,\" said {his} {K}. \"It has turned into water. Soon it will be in the river, in the clouds and in the flowers.\"",
				"\"Look,\" said {his} {K}, and pointed to the place. A small white flower was coming out of the ground.",
			}, {
				"In spring, {A} saw the first flower and said, \"Hello, {title}.\"", "And when it snowed the next winter, {A} laughed. \"Welcome back, {title}!\" {he} said.", "From then on, whenever it rained, {B} waved at the clouds.",
			}, {
				"Some things must go so that they can come again.", "Nothing is ever quite lost.", "We can be happy about what we had, even when it is over.", "Every winter ends, and every winter comes again.",
			}},
		},
	},
	{
		name: "star", cast: anyone,
		words: map[string][]string{
			"wish": {
				"that {his} {K} would be well again/was ill in bed/The fever was gone, and {khe} asked for breakfast", "that it would rain/was worried, for the fields were dry/At dawn, the first drops fell on the dry fields",
				"that the boats would come home/looked out at the stormy sea every evening/In the gray light, three sails came around the rocks", "that the little goat would be found/had lost the little goat in the hills/There stood the little goat at the gate, eating the roses",
			},
		},
		paras: [][]line{
			{opening, alone, {
				"In those days, {his} {K} {wish.1}.", "It was a hard time, and {his} {K} {wish.1}.",
			}, {
				"{A} wanted to help but did not know how.", "\"What can I do?\" {A} asked, but nobody knew.", "{A} thought about it day and night.",
			}},
			{{
				"\"If you see a falling star, you may make a wish,\" said {his} friend {B}.", "\"On clear nights, stars fall behind the hill,\" said {his} friend {B}. \"Whoever sees one may make a wish.\"",
			}, {
				"So the two of them climbed the hill in the evening and lay down in the grass.", "That same night, they took a blanket and went out to watch the sky.",
			}, {
				"They waited and waited. The moon went slowly over the trees.", "It was cold, but they did not go home.", "{B} fell asleep, but {A} kept {his} eyes open.",
			}},
			{{
				"Then a bright line ran across the sky. \"There!\" cried {A}.", "All at once a star fell, long and silver.", "Shortly before morning, a star fell right over the roof of the house.",
			}, {
				"{A} closed {his} eyes and wished {wish.0}.", "\"I wish {wish.0},\" whispered {A}.",
			}, {
				"\"What did you wish for?\" asked {B}. \"You must not ask,\" said {A}, \"or it will not come true.\"", "\"Did you not wish for something for yourself?\" asked {B}. {A} shook {his} head.", "\"That was a good wish,\" said {B}.",
			}},
			{{
				"They came home when the sky turned pink. {wish.2}.", "The next morning, {A} jumped out of bed. {wish.2}.", "{A} slept a little. When {he} woke up, {his} {K} called {him}. {wish.2}.",
			}, {
				"\"It was the star,\" whispered {B}.", "{A} looked up at the sky and said thank you.", "Nobody ever found out how it had happened.",
			}, {
				"Maybe it was the star, and maybe it was only luck. But {A} was happy.", "A wish for others shines the brightest.", "Ever since, {A} and {B} have gone up the hill once a year to look at the stars.", "{his} {K} often said later that hope is half of the way.",
			}},
		},
	},
}
